"""What windows leave behind: the size of stores and changelog before and with ten million rows of windows, and after their retention.

Every minute of event time has the same words, each once. Two minutes are counted and measured; then many more; then, when all of these
are gone, two again. So before and afterwards stores and changelog have the same number of rows that count.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaProducer

from app.local.worker import LocalWorker
from bench.corpus import vocabulary
from bench.event_time import START_MS
from bench.rig import PARTITIONS, Rig, size_of, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import KEPT, create_topic, send_lines
from bench.usage import peak_rss_mb
from bench.windows import counts_by_window
from tables.model.names import changelog_topic

WORDS = 240_000
"""Distinct words of each minute: 24 batches of a thousand lines, so that a word is always in the same partition."""

MINUTES = 42
"""Number of minutes whose rows expire, beside the first two."""

WITHIN = 1.2
"""Largest size afterwards as a multiple of the size before."""

_KEPT_MINUTES = 60
_MINUTE_MS = 60_000
_BATCH_LINES = 1_000
_SETTINGS = {
    "WORDCOUNT_WINDOWS": "1m",
    "WORDCOUNT_RETENTION": f"{_KEPT_MINUTES}m",
    "WORDCOUNT_MAX_JUMP": f"{_KEPT_MINUTES // 2}m",
}
# As in production, but a thousandth of the time: what the broker does in hours is done in seconds.
_CHANGELOG = {
    "cleanup.policy": "compact",
    "compression.type": "producer",
    "message.timestamp.type": "LogAppendTime",
    "min.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "3600",
    "segment.ms": "3600",
}
CLEANING_BROKER = {"log.cleaner.dedupe.buffer.size": str(128 << 20), "log.cleaner.backoff.ms": "1000"}
"""Kafka's own buffer for the keys of a segment, in place of a small one with which ten million keys take many passes."""

_SETTLED_S = 15.0
_RETURN_S = 600.0
_TRICKLE_S = 0.5


def measure_expiry(rig: Rig) -> Iterator[dict[str, Any]]:
    """Yield the only point; its `value` is the number of rows that expired."""
    yield asyncio.run(_measured(rig))


async def _measured(rig: Rig) -> dict[str, Any]:
    topic = group = "expiry"
    lines = _lines()
    await create_topic(rig.servers, topic, PARTITIONS, KEPT)
    await create_topic(rig.servers, changelog_topic(group, topic), PARTITIONS, _CHANGELOG)
    async with AIOKafkaProducer(
        bootstrap_servers=rig.servers, acks="all", compression_type="lz4"
    ) as producer:
        sender = _Sender(producer, topic)
        with rig.worker(topic, group, further=_SETTINGS) as worker:
            await asyncio.to_thread(worker.wait_ready)
            sizes = _Sizes(rig, topic, group)
            await _count(sender, worker, lines, range(2))
            before = await _settled(sender, sizes)
            started = time.perf_counter()
            await _count(sender, worker, lines, range(2, 2 + MINUTES))
            counted_s = time.perf_counter() - started
            with_rows = sizes.now()
            last = 2 + MINUTES + _KEPT_MINUTES
            await _count(sender, worker, lines, range(last, last + 2))
            started = time.perf_counter()
            after = await _returned(sender, sizes, before)
            returned_s = time.perf_counter() - started
            rss_mb = peak_rss_mb(worker.pid)
            await asyncio.to_thread(stop_cleanly, worker)
    return {
        "value": (2 + MINUTES) * WORDS,
        "counted_s": round(counted_s, 1),
        "returned_s": round(returned_s, 1),
        "rss_mb": round(rss_mb),
        **{f"store_mb_{name}": size[0] for name, size in _named(before, with_rows, after)},
        **{f"changelog_mb_{name}": size[1] for name, size in _named(before, with_rows, after)},
        "verified": _is_true(rig, topic, group, lines, last),
    }


def _named(*sizes: tuple[float, float]) -> Iterator[tuple[str, tuple[float, float]]]:
    return zip(("before", "with_rows", "after"), sizes, strict=True)


class _Sender:
    """Sends lines to all partitions in turn, a batch to each."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.records = 0
        self.minute = 0

    async def send(self, lines: list[bytes], minute: int) -> None:
        """Send the lines; all happened at the beginning of that minute."""
        self.minute = minute
        for number, start in enumerate(range(0, len(lines), _BATCH_LINES)):
            await self._batch(lines[start : start + _BATCH_LINES], number % PARTITIONS)

    async def trickle(self) -> None:
        """Send a line without words to each partition, so that the broker closes segments; and wait a little."""
        for partition in range(PARTITIONS):
            await self._batch([b" "], partition)
        await self._producer.flush()
        await asyncio.sleep(_TRICKLE_S)

    async def flush(self) -> None:
        """Wait until all is acknowledged."""
        await self._producer.flush()

    async def _batch(self, lines: list[bytes], partition: int) -> None:
        times = itertools.repeat(START_MS + self.minute * _MINUTE_MS)
        await send_lines(self._producer, self._topic, partition, lines, times)
        self.records += len(lines)


class _Sizes:
    """The sizes of the stores and of the changelog of a worker, on disk."""

    def __init__(self, rig: Rig, topic: str, group: str) -> None:
        self._rig = rig
        self._topic = topic
        self._group = group

    def now(self) -> tuple[float, float]:
        """Return the sizes of stores and changelog, in MiB."""
        stores = sum(
            size_of(path)
            for folder in self._rig.stores(self._topic, self._group)
            for path in folder.iterdir()
        )
        return round(stores / 2**20, 1), round(self._rig.changelog_bytes(self._topic, self._group) / 2**20, 1)


async def _count(sender: _Sender, worker: LocalWorker, lines: list[bytes], minutes: range) -> None:
    for minute in minutes:
        await sender.send(lines, minute)
    await sender.flush()
    await asyncio.to_thread(wait_counted, worker, sender.records)


async def _settled(sender: _Sender, sizes: _Sizes) -> tuple[float, float]:
    """Return the sizes when the changelog has not become smaller for a quarter of a minute."""
    now, since = sizes.now(), time.monotonic()
    while time.monotonic() - since < _SETTLED_S:
        await sender.trickle()
        former, now = now, sizes.now()
        if now[1] < former[1] * 0.98:
            since = time.monotonic()
    return now


async def _returned(sender: _Sender, sizes: _Sizes, before: tuple[float, float]) -> tuple[float, float]:
    """Return the sizes when both are near those before, or after the longest time."""
    deadline = time.monotonic() + _RETURN_S
    now = sizes.now()
    while time.monotonic() < deadline and any(
        size > WITHIN * former for size, former in zip(now, before, strict=True)
    ):
        await sender.trickle()
        now = sizes.now()
    return now


def _is_true(rig: Rig, topic: str, group: str, lines: list[bytes], last: int) -> bool:
    """Return whether the stores have each word once in each of the two last minutes, and no other row of a window."""
    once = {word: 1 for line in lines for word in line.split()}
    starts = [START_MS // 1000 + minute * 60 for minute in (last, last + 1)]
    return counts_by_window(rig.stores(topic, group)) == {(60, start): once for start in starts}


def _lines() -> list[bytes]:
    words = vocabulary(WORDS)
    return [" ".join(words[start : start + 10]).encode() for start in range(0, WORDS, 10)]
