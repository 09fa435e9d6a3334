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

import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.kafka.embedded import EmbeddedBroker
from app.local_worker import LocalWorker
from bench.corpus import CORPORA

PARTITIONS = 8
TIMEOUT_S = 300.0
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        name: in the result file.
        corpus: name in `bench.corpus.CORPORA`.
        lines: records in the topic.
        profile: tokeniser.
        runs: of which the median is reported.
    """

    name: str
    corpus: str
    lines: int
    profile: str
    runs: int

    @property
    def topic(self) -> str:
        return f"{self.corpus}-{self.lines}"


CASES = (
    Case("zipf-10m-whitespace", "zipf", 1_000_000, "whitespace", 5),
    Case("zipf-30m-whitespace", "zipf", 3_000_000, "whitespace", 3),
    Case("zipf-10m-unicode", "zipf", 1_000_000, "unicode", 3),
    Case("zipf-10m-java-s", "zipf", 1_000_000, "java-s", 1),
    Case("long-lines-10m-whitespace", "long-lines", 67_000, "whitespace", 1),
    Case("one-word-5m-whitespace", "one-word", 5_000_000, "whitespace", 1),
    Case("hot-word-10m-whitespace", "hot-word", 1_000_000, "whitespace", 1),
)


@dataclass(frozen=True)
class Run:
    """What one run of a worker took."""

    seconds: float
    cpu_s: float
    broker_cpu_s: float
    rss_mb: float
    verified: bool


def main(names: Sequence[str]) -> None:
    """Run the named cases and print them; without names all of them, which also writes `bench/results/latest.json`."""
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
        topics: dict[str, Counter[bytes]] = {}
        for case in cases:
            if case.topic not in topics:
                topics[case.topic] = asyncio.run(load(broker.bootstrap_servers, case))
            truth = topics[case.topic]
            runs = []
            for number in range(case.runs):
                run = measure(broker, case, number, Path(folder), truth)
                print(
                    f"{case.name} run {number + 1}: {truth.total() / run.seconds / 1e6:.2f} M words/s, {run}",
                    flush=True,
                )
                runs.append(run)
            results.append(summary(case, truth.total(), runs))
    report = {"commit": commit(), "machine": machine(), "command": "make bench", "cases": results}
    if not names:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "latest.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
        )
    for result in results:
        print(
            f"{result['name']:24} {result['words_per_s'] / 1e6:6.2f} M words/s   "
            f"{result['cpu_s_per_million_words']:.2f} CPU-s/M   {result['rss_mb']:.0f} MB   verified: {result['verified']}"
        )
    if not all(result["verified"] for result in results):
        raise SystemExit("a run counted wrong")


async def load(servers: str, case: Case) -> Counter[bytes]:
    """Fill a new topic; returns the true counts."""
    topic = case.topic
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    truth: Counter[bytes] = Counter()
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", compression_type="lz4") as producer:
        for number, chunk in enumerate(CORPORA[case.corpus](case.lines)):
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


def measure(broker: EmbeddedBroker, case: Case, number: int, folder: Path, truth: Counter[bytes]) -> Run:
    """Start a worker on a fresh group and state folder, let it count everything, verify, stop it."""
    settings = {
        "WORDCOUNT_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "WORDCOUNT_TOPIC": case.topic,
        "WORDCOUNT_GROUP": f"{case.name}-{number}",
        "WORDCOUNT_STATE_DIR": str(folder / f"{case.name}-{number}"),
        "WORDCOUNT_PROFILE": case.profile,
        "WORDCOUNT_HTTP_PORT": str(free_port()),
        "WORDCOUNT_LOG_LEVEL": "warning",
    }
    with LocalWorker(settings, folder / "worker.log") as worker:
        watched, served = psutil.Process(worker.pid), psutil.Process(broker.pid)
        worker.wait_ready()
        started, cpu_before, broker_before = time.perf_counter(), cpu_s(watched), cpu_s(served)
        while worker.ask("/v1/stats")["records"] < case.lines:
            if time.perf_counter() - started > TIMEOUT_S:
                raise SystemExit(f"{case.name} is not done within {TIMEOUT_S:g} s")
            time.sleep(0.01)
        return Run(
            seconds=time.perf_counter() - started,
            cpu_s=cpu_s(watched) - cpu_before,
            broker_cpu_s=cpu_s(served) - broker_before,
            rss_mb=peak_rss_mb(worker.pid),
            verified=worker.counts() == {word.decode(): count for word, count in truth.items()},
        )


def summary(case: Case, words: int, runs: Sequence[Run]) -> dict[str, Any]:
    """The medians, and every run."""
    rates = [words / run.seconds for run in runs]
    return {
        "name": case.name,
        "words": words,
        "words_per_s": round(statistics.median(rates)),
        "cpu_s_per_million_words": median_per_million([run.cpu_s for run in runs], words),
        "broker_cpu_s_per_million_words": median_per_million([run.broker_cpu_s for run in runs], words),
        "records_per_s": round(statistics.median(case.lines / run.seconds for run in runs)),
        "rss_mb": round(max(run.rss_mb for run in runs)),
        "verified": all(run.verified for run in runs),
        "corpus": case.corpus,
        "profile": case.profile,
        "runs_words_per_s": [round(rate) for rate in rates],
    }


def median_per_million(seconds: Sequence[float], words: int) -> float:
    """Median of `seconds`, per million words."""
    return round(statistics.median(seconds) / words * 1e6, 3)


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
