"""Words per second of one worker process from a backlog, with changelog and RocksDB on, every count verified.

The clock runs from the moment when the worker has its partitions (`/readyz` is 200) until `/v1/stats` shows every
record counted, durable and queryable. CPU is the worker's alone, in the same interval; resident memory is the peak of its whole life.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.kafka.embedded import EmbeddedBroker
from bench.corpus import zipf_lines

PARTITIONS = 8
TIMEOUT_S = 300.0
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        name: in the result file.
        lines: of 10 words.
        profile: tokeniser.
        runs: of which the median is reported.
    """

    name: str
    lines: int
    profile: str
    runs: int


CASES = (
    Case("zipf-10m-whitespace", 1_000_000, "whitespace", 5),
    Case("zipf-30m-whitespace", 3_000_000, "whitespace", 3),
    Case("zipf-10m-unicode", 1_000_000, "unicode", 3),
)


@dataclass(frozen=True)
class Run:
    """What one run of a worker took."""

    seconds: float
    cpu_s: float
    rss_mb: float
    verified: bool


def main(names: Sequence[str]) -> None:
    """Run the named cases (none = all), print them and write `bench/results/latest.json`."""
    cases = [case for case in CASES if not names or case.name in names]
    if unknown := set(names) - {case.name for case in CASES}:
        raise SystemExit(
            f"no such case: {', '.join(sorted(unknown))}; there are: {', '.join(c.name for c in CASES)}"
        )
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="wordcount-bench-") as folder,
        EmbeddedBroker(Path(folder) / "broker") as broker,
    ):
        topics: dict[int, Counter[bytes]] = {}
        for case in cases:
            if case.lines not in topics:
                topics[case.lines] = asyncio.run(
                    load(broker.bootstrap_servers, f"zipf-{case.lines}", case.lines)
                )
            truth = topics[case.lines]
            runs = []
            for number in range(case.runs):
                state = Path(folder) / f"{case.name}-{number}"
                run = measure(broker.bootstrap_servers, case, number, state, truth)
                print(
                    f"{case.name} run {number + 1}: {truth.total() / run.seconds / 1e6:.2f} M words/s, {run}",
                    flush=True,
                )
                runs.append(run)
            results.append(summary(case, truth.total(), runs))
    report = {"commit": commit(), "machine": machine(), "command": "make bench", "cases": results}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    for result in results:
        print(
            f"{result['name']:24} {result['words_per_s'] / 1e6:6.2f} M words/s   "
            f"{result['cpu_s_per_million_words']:.2f} CPU-s/M   {result['rss_mb']:.0f} MB   verified: {result['verified']}"
        )
    if not all(result["verified"] for result in results):
        raise SystemExit("a run counted wrong")


async def load(servers: str, topic: str, lines: int) -> Counter[bytes]:
    """Fill a new topic; returns the true counts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    truth: Counter[bytes] = Counter()
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", compression_type="lz4") as producer:
        for number, chunk in enumerate(zipf_lines(lines)):
            truth.update(b" ".join(chunk).split())
            for start in range(0, len(chunk), 1000):
                batch = producer.create_batch()
                rest = iter(chunk[start : start + 1000])
                for line in rest:
                    if batch.append(key=None, value=line, timestamp=None) is None:
                        await producer.send_batch(
                            batch, topic, partition=(number + start // 1000) % PARTITIONS
                        )
                        batch = producer.create_batch()
                        batch.append(key=None, value=line, timestamp=None)
                await producer.send_batch(batch, topic, partition=(number + start // 1000) % PARTITIONS)
        await producer.flush()
    return truth


def measure(servers: str, case: Case, number: int, state: Path, truth: Counter[bytes]) -> Run:
    """Start a worker on a fresh group and state folder, let it count everything, verify, stop it."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WORDCOUNT_")},
        "WORDCOUNT_BOOTSTRAP_SERVERS": servers,
        "WORDCOUNT_TOPIC": f"zipf-{case.lines}",
        "WORDCOUNT_GROUP": f"{case.name}-{number}",
        "WORDCOUNT_STATE_DIR": str(state),
        "WORDCOUNT_PROFILE": case.profile,
        "WORDCOUNT_HTTP_PORT": "0",
        "WORDCOUNT_LOG_LEVEL": "warning",
    }
    port = free_port()
    environment["WORDCOUNT_HTTP_PORT"] = str(port)
    process = subprocess.Popen([sys.executable, "-m", "app", "worker"], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait(lambda: status(client, "/readyz") == 200, process)
            started, watched = time.perf_counter(), psutil.Process(process.pid)
            cpu_before = cpu_s(watched)
            wait(lambda: client.get("/v1/stats").json().get("records") == case.lines, process)
            seconds, cpu = time.perf_counter() - started, cpu_s(watched) - cpu_before
            verified = counts(client) == {word.decode(): count for word, count in truth.items()}
            return Run(seconds, cpu, peak_rss_mb(process.pid), verified)
    finally:
        process.terminate()
        process.wait(60)


def counts(client: httpx.Client) -> dict[str, int]:
    """All counts, page by page."""
    found: dict[str, int] = {}
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(
            "/v1/words", params={"limit": 1000, **({"cursor": cursor} if cursor else {})}
        ).json()
        found |= {entry["word"]: entry["count"] for entry in page["words"]}
        cursor = page["next_cursor"]
    return found


def summary(case: Case, words: int, runs: Sequence[Run]) -> dict[str, Any]:
    """The medians, and every run."""
    rates = [words / run.seconds for run in runs]
    return {
        "name": case.name,
        "words": words,
        "words_per_s": round(statistics.median(rates)),
        "cpu_s_per_million_words": round(statistics.median(run.cpu_s for run in runs) / words * 1e6, 3),
        "rss_mb": round(max(run.rss_mb for run in runs)),
        "verified": all(run.verified for run in runs),
        "profile": case.profile,
        "runs_words_per_s": [round(rate) for rate in rates],
    }


def wait(condition: Any, process: subprocess.Popen[bytes]) -> None:
    """Ask every 10 ms until it holds; fail when the worker ends or the time is up."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if process.poll() is not None:
            raise SystemExit(f"the worker ended with exit code {process.returncode}")
        if time.monotonic() > deadline:
            raise SystemExit(f"not done within {TIMEOUT_S:g} s")
        time.sleep(0.01)


def status(client: httpx.Client, path: str) -> int | None:
    """Status code of a GET; None where nobody listens yet."""
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return None


def cpu_s(process: psutil.Process) -> float:
    """User and system seconds so far."""
    times = process.cpu_times()
    return times.user + times.system


def peak_rss_mb(pid: int) -> float:
    """Largest resident memory so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmHWM in /proc: this benchmark needs Linux")


def free_port() -> int:
    """A port that is free now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system() + " " + platform.machine(),
        "python": platform.python_version(),
    }


def cpu_model() -> str:
    """As the kernel names it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def commit() -> str:
    """Of the checkout, marked where files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


if __name__ == "__main__":
    main(sys.argv[1:])
