"""Worker processes under test, and an independent recount of their topic: plain Python over a plain Kafka consumer."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEADLINE_S = 40.0
"""Time limit for any action that takes a worker a few seconds on two busy cores."""

POLL_S = 0.1
"""Pause between two questions of a test that waits: each costs milliseconds, of which all tests together have too few."""

SETTINGS = {
    "WORDCOUNT_PROFILE": "whitespace",
    "WORDCOUNT_SESSION_TIMEOUT_MS": "2500",
    "WORDCOUNT_FLUSH_INTERVAL_MS": "100",
    "WORDCOUNT_SHUTDOWN_TIMEOUT_S": "15",
}
_PORTS = range(10_000, 20_000)
"""Ports for tests: below those that systems give to outgoing connections and those that embedded brokers choose from."""
_kept_ports: list[socket.socket] = []
_NOTHING: Mapping[str, Any] = {
    "records": 0,
    "as_of": {},
    "missing_partitions": [],
    "complete": False,
    "partitions": {},
}
"""The part of /v1/stats that tests look at, of a worker where no partition answers."""

COMMANDS: Mapping[str, Sequence[str]] = {
    "wordcount": [str(BIN / "wordcount"), "worker"],
    "view": [str(BIN / "wordcount"), "view"],
    "faust": [sys.executable, "-m", "faust", "-A", "app.faust_entry", "worker", "-l", "info"],
}
WORKER_ENTRIES = ("wordcount", "faust")
"""The entries of `COMMANDS` that start a worker; the others start a view."""


class Worker:
    """A worker process; a `start` after its end uses the same state folder and port again.

    Args:
        name: name of the state folder and of the log.
        folder: holds the state folder and the log.
        settings: WORDCOUNT_ variables; the worker inherits no WORDCOUNT_ variable from the test.
        command: program and arguments.
    """

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str], command: Sequence[str]) -> None:
        self.name = name
        self.state_dir = folder / name
        self.log_path = folder / f"{name}.log"
        self.stdout_path = folder / f"{name}.out"
        self.port = free_port()
        self.settings = {
            **SETTINGS,
            "WORDCOUNT_STATE_DIR": str(self.state_dir),
            "WORDCOUNT_HTTP_PORT": str(self.port),
            **settings,
        }
        self._command = command
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.renew_client()
        self.started_at = 0.0

    def renew_client(self, scheme: str = "http", **options: Any) -> None:
        """Make a new HTTP client, because the connections of a client belong to the event loop of one test.

        Args:
            scheme: http, or https for a worker with TLS.
            options: what the client is made with besides: headers, how it verifies the worker.
        """
        self._client = httpx.AsyncClient(base_url=f"{scheme}://127.0.0.1:{self.port}", timeout=10, **options)

    def start(self, *flags: str, **settings: str) -> Worker:
        """Start the process; `settings` also hold for later starts, `flags` only for this start."""
        self.settings |= settings
        own = {name: value for name, value in os.environ.items() if not name.startswith("WORDCOUNT_")}
        self.started_at = time.monotonic()
        with self.log_path.open("ab") as log, self.stdout_path.open("ab") as out:
            self._process = subprocess.Popen(
                [*self._command, *flags],
                cwd=ROOT,
                env={**own, **self.settings, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text("utf-8", "replace")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def post(
        self, path: str, content: bytes, media_type: str = "text/plain", **headers: str
    ) -> httpx.Response:
        """Send a body; names in `headers` have an underscore instead of the hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.post(path, content=content, headers={"Content-Type": media_type, **named})

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        return await self._client.get(path, params=parameters or None)

    async def json(self, path: str, **parameters: Any) -> Any:
        """Return the body of an answer, whose status must be 200."""
        response = await self.get(path, **parameters)
        assert response.status_code == 200, f"{self.name} {path}: {response.status_code} {response.text}"
        return response.json()

    async def status(self, path: str) -> int | None:
        """Return the status code of an answer; None if no process listens. Fail if the worker has ended."""
        assert self.is_running(), f"{self.name} ended with {self.exit_code}"
        try:
            return (await self.get(path)).status_code
        except httpx.TransportError:
            return None

    async def stats(self) -> Any:
        """Return /v1/stats over the partitions that answer now, also those of other workers; without any partition while none answers.

        Fail if the process has ended.
        """
        assert self.is_running(), f"{self.name} ended with {self.exit_code}"
        try:
            response = await self.get("/v1/stats", allow_partial="true")
        except httpx.TransportError:
            return _NOTHING
        return _NOTHING if response.status_code == 503 else response.json()

    async def partitions(self) -> dict[int, Any]:
        """Return what this worker itself has: partition -> its entry in /v1/assignments. None while no process listens."""
        assert self.is_running(), f"{self.name} ended with {self.exit_code}"
        try:
            workers = (await self.json("/v1/assignments"))["workers"]
        except httpx.TransportError:
            return {}
        (here,) = [worker for worker in workers if worker["here"]]
        return {int(number): partition for number, partition in here["active"].items()}

    async def metrics(self) -> dict[str, float]:
        """Return the samples of /metrics; a key is the name with its labels, as /metrics writes them."""
        text = (await self.get("/metrics")).text
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    async def metrics_of(self, records: int) -> dict[str, float]:
        """Wait until /metrics reports at least `records` records read, a moment after answers have them; return all samples."""
        found: dict[str, float] = {}

        async def told() -> bool:
            found.update(await self.metrics())
            return found["wordcount_records_read_total"] >= records

        await wait_for(told, f"{self.name} told of {records} records")
        return found

    async def wait_ready(self) -> Worker:
        async def ready() -> bool:
            return await self.status("/readyz") == 200

        await wait_for(ready, f"{self.name} ready")
        return self

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    async def ended(self, timeout_s: float = DEADLINE_S) -> int:
        """Wait until the process ends; return the exit code."""
        process = self._process
        assert process is not None

        async def gone() -> bool:
            return process.poll() is not None

        await wait_for(gone, f"end of {self.name}", timeout_s)
        assert process.returncode is not None
        return process.returncode

    async def stop(self, timeout_s: float = DEADLINE_S) -> tuple[int, float]:
        """Send SIGTERM and wait for the end; return the exit code and the seconds that the end took."""
        started = time.monotonic()
        self.signal(signal.SIGTERM)
        return await self.ended(timeout_s), time.monotonic() - started

    async def kill(self) -> None:
        """Send SIGKILL and wait until the process is gone."""
        self.signal(signal.SIGKILL)
        await self.ended()

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def close(self) -> None:
        """Close the HTTP client, and kill the process if it runs."""
        await self._client.aclose()
        if self.is_running():
            await self.kill()

    def cpu_s(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


async def wait_for(
    condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float = DEADLINE_S
) -> float:
    """Wait until `condition` holds; return the seconds that this took. After `timeout_s` fail with a message that names `what`."""
    started = time.monotonic()
    while not await condition():
        assert time.monotonic() - started < timeout_s, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(POLL_S)
    return time.monotonic() - started


async def counts_of(workers: Iterable[Worker]) -> Counter[str]:
    """Return all counts. Each of the workers answers for all partitions, whoever counts them; fail if two answers differ."""
    found = [await _counts(worker) for worker in workers]
    for counts in found[1:]:
        differing = [word for word in counts.keys() | found[0].keys() if counts[word] != found[0][word]]
        assert not differing, f"workers disagree about {len(differing)} words, like {differing[:5]}"
    return found[0]


async def _counts(worker: Worker) -> Counter[str]:
    counts: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        page = await worker.json("/v1/words", limit=1000, **({"cursor": cursor} if cursor else {}))
        assert page["complete"], page["missing_partitions"]
        counts.update({entry["word"]: entry["count"] for entry in page["words"]})
        cursor = page["next_cursor"]
        if cursor is None:
            return counts


async def positions_of(workers: Iterable[Worker]) -> dict[int, int]:
    """Return partition -> next offset to count, of the partitions that all workers answer for: the least that one names."""
    answers = [(await worker.stats())["as_of"] for worker in workers]
    numbers = set[str](answers[0]).intersection(*answers)
    return {int(number): min(answer[number] for answer in answers) for number in sorted(numbers, key=int)}


async def end_offsets(bootstrap_servers: str, topic: str) -> dict[int, int]:
    """Return partition -> offset after the last record."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    async with consumer:
        numbers = await _partitions(consumer, topic)
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
    return {tp.partition: end for tp, end in ends.items()}


async def wait_counted(workers: Sequence[Worker], bootstrap_servers: str, topic: str) -> float:
    """
    Wait until each of the workers answers for every partition up to its present end; return the seconds that this took.

    A position may be beyond the end: a broker writes the marker of a transaction after it answered the producer.
    """
    ends = await end_offsets(bootstrap_servers, topic)

    async def counted() -> bool:
        at = await positions_of(workers)
        return at.keys() == ends.keys() and all(at[number] >= end for number, end in ends.items())

    return await wait_for(counted, f"{topic} counted up to {ends}", 2 * DEADLINE_S)


async def records_of(
    bootstrap_servers: str, topic: str, isolation: str = "read_committed"
) -> list[tuple[int, int, bytes | None]]:
    """Return (partition, offset, value) of every record up to the present end."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", isolation_level=isolation
    )
    found = []
    async with consumer, asyncio.timeout(2 * DEADLINE_S):
        numbers = await _partitions(consumer, topic)
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for polled in (await consumer.getmany(timeout_ms=100)).values():
                found += [(record.partition, record.offset, record.value) for record in polled]
    return [one for one in found if one[1] < ends[TopicPartition(topic, one[0])]]


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    await consumer._client.force_metadata_update()
    known = consumer._client.cluster.partitions_for_topic(topic)
    if known is None:
        await consumer._client.add_topic(topic)
        await consumer._client.force_metadata_update()
        known = consumer._client.cluster.partitions_for_topic(topic)
    return sorted(known or ())


async def recount(bootstrap_servers: str, topic: str, isolation: str = "read_committed") -> Counter[str]:
    """Return the right counts of a topic under profile whitespace; the words of these tests are ASCII."""
    values = Counter(value or b"" for _, _, value in await records_of(bootstrap_servers, topic, isolation))
    counts: Counter[str] = Counter()
    for value, times in values.items():
        for word in value.split():
            counts[word.decode()] += times
    return counts


def lines(seed: int, count: int, words: int = 10, vocabulary: int = 2000) -> list[bytes]:
    """Return lines of `words` frequent and rare words each; equal arguments give equal lines."""
    chance = random.Random(seed)
    return [
        b" ".join(
            b"w%d" % int(chance.paretovariate(0.6))
            if chance.random() < 0.8
            else b"r%d" % chance.randrange(vocabulary)
            for _ in range(words)
        )
        for _ in range(count)
    ]


def free_port() -> int:
    """Return a free port that no other test run chooses, although several test runs may choose ports at the same time.

    A socket of this process keeps the port until the process ends. The socket is bound and does not listen, so that a server, which
    reuses addresses, can listen on the port, and a client that connects before the server listens is refused.
    """
    while True:
        port = random.SystemRandom().choice(_PORTS)
        keeper = socket.socket()
        try:
            keeper.bind(("127.0.0.1", port))
        except OSError:
            keeper.close()
            continue
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept_ports.append(keeper)
        return port
