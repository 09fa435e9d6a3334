"""The program of `make soak`: two workers count and answer for SOAK_MINUTES; their memory and descriptors must not grow.

No count may differ from a recount at the end. The input has a bounded vocabulary, all of which occurs in the first 25 s, and stores
are compacted several times (`small_stores`). So memory that still grows after the warm-up is a leak.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from app.local.embedded import EmbeddedBroker
from tables.model.names import changelog_topic
from tests.chaos import small_stores
from tests.chaos.chaos import commit
from tests.chaos.oracle import Recount
from tests.chaos.trend import Trend, trend
from tests.integration.conftest import EAGER_CLEANING, KafkaClient
from tests.integration.worker import (
    ROOT,
    Worker,
    counts_of,
    end_offsets,
    lines,
    positions_of,
    wait_for,
)

RESULT = ROOT / "bench/results/soak.json"
TOPIC, GROUP, PARTITIONS = "soak", "soak", 8
LINES_PER_S = 2000
LINES = 50_000
"""Number of distinct lines; the producer sends all of them, then begins again."""

SAMPLE_S = 5.0
RECOUNT_SAMPLES = 12
SHOWN_SAMPLES = 6
"""Every `SHOWN_SAMPLES`-th sample is written to the result file."""

READ_S = 0.05
CAUGHT_UP_S = 60.0
SEED = 4
CHANGELOG = {
    "cleanup.policy": "compact",
    "compression.type": "producer",
    "min.compaction.lag.ms": "60000",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "10000",
}


class SoakError(AssertionError):
    """A figure that grows, or a promise of Wordcount that was broken."""


class Samples:
    """Resident bytes, open descriptors and threads of workers, as the kernel has them."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.series: dict[str, dict[str, list[float]]] = {
            worker.name: defaultdict(list) for worker in workers
        }
        self._processes = {worker.name: psutil.Process(worker.pid) for worker in workers}

    def take(self) -> None:
        for name, process in self._processes.items():
            with process.oneshot():
                self.series[name]["rss_mb"].append(round(process.memory_info().rss / 2**20, 1))
                self.series[name]["descriptors"].append(process.num_fds())
                self.series[name]["threads"].append(process.num_threads())

    def trends(self) -> dict[str, dict[str, Trend]]:
        """Return the trend of each figure, by worker and name of the figure."""
        return {
            name: {figure: trend(samples) for figure, samples in series.items()}
            for name, series in self.series.items()
        }


@asynccontextmanager
async def two_workers(folder: Path, servers: str) -> AsyncIterator[list[Worker]]:
    """Start two workers and yield them when they are ready; end them with the block, and print their logs if the block fails."""
    settings = {
        "WORDCOUNT_BOOTSTRAP_SERVERS": servers,
        "WORDCOUNT_TOPIC": TOPIC,
        "WORDCOUNT_GROUP": GROUP,
        "WORDCOUNT_SESSION_TIMEOUT_MS": "10000",
        "WORDCOUNT_FLUSH_INTERVAL_MS": "250",
    }
    command = [sys.executable, small_stores.__file__]
    workers = [Worker(f"worker-{number}", folder, settings, command) for number in range(2)]
    try:
        for worker in workers:
            await worker.start().wait_ready()
        yield workers
    except BaseException:
        for worker in workers:
            print(f"--- {worker.name}, exit code {worker.exit_code}\n{worker.log[-6000:]}", file=sys.stderr)
        raise
    finally:
        for worker in workers:
            await worker.close()


async def produce(servers: str) -> None:
    """Send `LINES_PER_S` lines per second to all partitions without end; after a delay, send faster until the rate is kept again."""
    values = itertools.cycle(lines(SEED, LINES))
    chunk = LINES_PER_S // 10
    async with AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=5
    ) as producer:
        started = time.monotonic()
        for sent in itertools.count(0, chunk):
            await asyncio.sleep(max(0.0, started + sent / LINES_PER_S - time.monotonic()))
            await asyncio.gather(
                *[await producer.send(TOPIC, next(values), partition=n % PARTITIONS) for n in range(chunk)]
            )


async def read(worker: Worker) -> None:
    """Ask a worker for a word, the most frequent words, a page of words, statistics and metrics, in turn and without end.

    Raises:
        SoakError: an answer has an unexpected status, or a position went back.
    """
    chance = random.Random(worker.name)
    seen: dict[str, int] = {}
    for turn in itertools.count():
        await asyncio.sleep(READ_S)
        path = (
            "/v1/words/w1",
            "/v1/top",
            f"/v1/words?prefix=r{chance.randrange(100)}",
            "/v1/stats",
            "/metrics",
        )[turn % 5]
        response = await worker.get(path)
        if response.status_code not in {200, 404}:  # At first no word is counted, so a word may be unknown.
            raise SoakError(f"{worker.name} {path}: {response.status_code} {response.text}")
        if path == "/v1/stats":
            as_of: dict[str, int] = response.json()["as_of"]
            if back := [number for number, position in as_of.items() if position < seen.get(number, 0)]:
                raise SoakError(f"{worker.name} partitions {back} went back")
            seen |= as_of


async def soak(minutes: float, folder: Path, console: Console) -> dict[str, Any]:
    """Run a soak of `minutes`, and return the content of the result file.

    Raises:
        SoakError: a worker gave an unexpected answer, or a position went back.
    """
    with EmbeddedBroker(folder / "broker", settings=EAGER_CLEANING) as broker:
        servers = broker.bootstrap_servers
        kafka = KafkaClient(servers)
        await kafka.create_topic(TOPIC, PARTITIONS)
        await kafka.create_topic(changelog_topic(GROUP, TOPIC), PARTITIONS, CHANGELOG)
        truth = Recount(servers, TOPIC, PARTITIONS, ())
        async with two_workers(folder, servers) as workers:
            producing = asyncio.create_task(produce(servers))
            reading = [asyncio.create_task(read(worker)) for worker in workers]
            samples = Samples(workers)
            started = time.monotonic()
            try:
                for number in itertools.count(1):
                    if (left := started + number * SAMPLE_S - time.monotonic()) > 0:
                        await asyncio.sleep(left)
                    samples.take()
                    for task in (producing, *reading):
                        if task.done():
                            await task
                    if number % RECOUNT_SAMPLES == 0:
                        await truth.advance()
                        show(console, time.monotonic() - started, truth, samples)
                    if time.monotonic() - started >= minutes * 60:
                        break
            finally:
                for task in (producing, *reading):
                    task.cancel()
                await asyncio.gather(producing, *reading, return_exceptions=True)
            differing = await compare(workers, servers, truth)
        return result(minutes, truth, differing, samples)


async def compare(workers: Sequence[Worker], servers: str, truth: Recount) -> int:
    """Wait until every record is counted; return how many words differ from the recount."""

    async def counted() -> bool:
        return await positions_of(workers) == await end_offsets(servers, TOPIC)

    await wait_for(counted, "everything counted", CAUGHT_UP_S)
    await truth.advance()
    found = await counts_of(workers)
    return sum(truth.counts[word] != found[word] for word in truth.counts.keys() | found.keys())


def show(console: Console, seconds: float, truth: Recount, samples: Samples) -> None:
    """Print one line of progress."""
    last = ", ".join(
        f"{name} {series['rss_mb'][-1]:.0f} MiB {series['descriptors'][-1]} descriptors"
        for name, series in samples.series.items()
    )
    console.print(f"{seconds:6.0f} s  {truth.counts.total():>12,} words  {last}", highlight=False)


def result(minutes: float, truth: Recount, differing: int, samples: Samples) -> dict[str, Any]:
    """Return the content of the result file."""
    return {
        "minutes": minutes,
        "commit": commit(),
        "partitions": PARTITIONS,
        "lines_per_s": LINES_PER_S,
        "records": truth.records,
        "words": truth.counts.total(),
        "words_compared": len(truth.counts),
        "differing_words": differing,
        "sample_s": SAMPLE_S,
        "workers": {
            name: {
                figure: {key: round(value, 2) for key, value in asdict(found).items()}
                | {"grows": found.grows, "every_30_s": samples.series[name][figure][::SHOWN_SAMPLES]}
                for figure, found in figures.items()
            }
            for name, figures in samples.trends().items()
        },
    }


def report(found: dict[str, Any], console: Console) -> list[str]:
    """Print the table of the report; return a text for each figure that grows, and for differing words; empty if all is well."""
    table = Table(title="After the warm-up", title_justify="left")
    for name in ("Worker", "Figure", "Median", "Growth", "Bound"):
        table.add_column(name, justify="left" if name in {"Worker", "Figure"} else "right")
    wrong = [f"{found['differing_words']} words differ"] if found["differing_words"] else []
    for worker, figures in found["workers"].items():
        for figure, value in figures.items():
            table.add_row(worker, figure, *(f"{value[key]:.1f}" for key in ("median", "growth", "bound")))
            if value["grows"]:
                wrong.append(f"{figure} of {worker} grows by {value['growth']:.1f}")
    console.print(table)
    console.print(
        f"{found['records']:,} lines, {found['words']:,} words, {found['words_compared']:,} counts compared, "
        f"{found['differing_words']} differ",
        highlight=False,
    )
    return wrong


def main() -> None:
    """Run a soak, print the report and write `bench/results/soak.json`; end with exit code 1 if a figure grows or a word differs."""
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    console = Console(width=None if sys.stdout.isatty() else 120)
    minutes = float(os.environ.get("SOAK_MINUTES") or 15)
    with tempfile.TemporaryDirectory(prefix="wordcount-soak-", ignore_cleanup_errors=True) as folder:
        found = asyncio.run(soak(minutes, Path(folder), console))
    wrong = report(found, console)
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    if wrong:
        console.print(f"FAILED: {'; '.join(wrong)}", markup=False, highlight=False)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
