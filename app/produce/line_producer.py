"""The line producer: sends lines to the input topic, one record each, in full batches per partition.

Each batch goes to the next partition, so that a file spreads over all partitions. Batches are large because reading has a cost per
batch. Records keep their order within a partition, not between partitions.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from app.kafka.clients import connected, connection, rights_of
from app.produce.feed import Feed
from app.produce.text_files import LineBlock
from tables.errors import BrokerUnavailableError, ConfigurationError, WordcountError
from tables.kafka.refusals import refusal
from tables.kafka.rights import Right

if TYPE_CHECKING:
    from app.config.settings import Settings

MAX_LINE_BYTES = 1_000_000
"""Largest size of a line together with its key; below the default `message.max.bytes` of brokers, 1,048,588."""

BATCH_BYTES = 65_536
"""Size of a batch, about 1,000 lines. Larger batches are hardly cheaper to read, and a small file would not reach all partitions."""

STALL_TIMEOUT_S = 30.0
"""Time without any acknowledgement after which the brokers count as unavailable."""

_LINGER_S = 0.05
_PROGRESS_S = 0.1
_SLICES_PER_S = 20
_LOG_APPEND_TIME = 1  # timestamp type of Kafka's protocol


@dataclass(frozen=True, slots=True)
class Report:
    """Progress or result of sending.

    Attributes:
        lines: lines handed to the producer.
        byte_count: bytes of these lines, without line ends and keys.
        acknowledged: lines that all in-sync replicas have.
        seconds: time since sending began, before the first line was read.
    """

    lines: int = 0
    byte_count: int = 0
    acknowledged: int = 0
    seconds: float = 0.0

    @property
    def lines_per_s(self) -> float:
        """Acknowledged lines per second; 0 if no time has passed."""
        return self.acknowledged / self.seconds if self.seconds > 0 else 0.0


async def produce_blocks(
    settings: Settings,
    blocks: Iterable[LineBlock],
    *,
    on_progress: Callable[[Report], None],
    key: bytes | None = None,
    lines_per_s: float | None = None,
    speed: float | None = None,
) -> Report:
    """Send the lines of all blocks to `settings.topic`, and return when every line is acknowledged.

    Args:
        settings: brokers, credentials and topic; the topic must exist.
        blocks: iterated in a thread of its own, so it may block.
        on_progress: called on the event loop, about ten times a second and at the end, also before an error.
        key: key of every record, whose hash chooses the partition; None = no key, and batches go to all partitions in turn.
        lines_per_s: highest rate, > 0; None = no bound.
        speed: the lines are sent so many times as fast as their times say, > 0, and all blocks must have times; None = as fast as
            possible. Not together with `lines_per_s`.

    Raises:
        BrokerUnavailableError: no broker answers, or some lines were not acknowledged; the message has their number.
        ConfigurationError: the topic refuses the records, or its brokers replace the times of the lines.
        BadRequestError: a line is longer than `MAX_LINE_BYTES`; the lines before it are acknowledged.
    """
    async with connected(settings, lambda: _producer(settings)) as producer:
        try:
            partitions = sorted(await producer.partitions_for(settings.topic))
        except KafkaError as error:
            raise _refusal(error, settings) from error
        if key is not None:
            partitions = [DefaultPartitioner()(key, partitions, partitions)]
        delivery = _Delivery(producer, settings, partitions, key, on_progress)
        feed = Feed(blocks)
        try:
            await _send_all(feed, delivery, _sender(delivery, lines_per_s, speed))
        finally:
            feed.close()
            on_progress(delivery.report())
        return delivery.report()


def _sender(
    delivery: _Delivery, lines_per_s: float | None, speed: float | None
) -> Callable[[LineBlock], Awaitable[None]]:
    assert lines_per_s is None or speed is None
    if speed is not None:
        from app.produce.event_pace import EventPace

        return EventPace(delivery, speed).add
    return delivery.add if lines_per_s is None else partial(_add_paced, delivery, lines_per_s)


async def _send_all(
    feed: Feed[LineBlock], delivery: _Delivery, send: Callable[[LineBlock], Awaitable[None]]
) -> None:
    try:
        while (block := await feed.next(_LINGER_S, delivery.flush)) is not None:
            await send(block)
    except WordcountError:
        await (
            delivery.finish()
        )  # Lines before a refused line, or before the damaged part of a file, are delivered.
        raise
    await delivery.finish()


async def _add_paced(delivery: _Delivery, lines_per_s: float, block: LineBlock) -> None:
    at_once = max(1, int(lines_per_s / _SLICES_PER_S))
    for start in range(0, len(block.lines), at_once):
        report = delivery.report()
        await asyncio.sleep(report.lines / lines_per_s - report.seconds)
        await delivery.add(block.part(start, start + at_once))
        await delivery.flush()


class _TimesReplacedError(Exception):
    """The brokers acknowledged a batch and replaced the times of its records."""


class _Delivery:
    """Fills batches, sends them to `partitions` in turn, and counts acknowledged lines."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        settings: Settings,
        partitions: list[int],
        key: bytes | None,
        on_progress: Callable[[Report], None],
    ) -> None:
        self._producer = producer
        self._settings = settings
        self._topic = settings.topic
        self._partitions = itertools.cycle(partitions)
        self._key = key
        self._longest_bytes = MAX_LINE_BYTES - len(key or b"")
        self._on_progress = on_progress
        self._started = self._progress_told = time.monotonic()
        self._timed = False
        self._lines = self._byte_count = self._acknowledged = 0
        self._batch = producer.create_batch()
        self._pending: set[asyncio.Future[Any]] = set()
        self._error: BaseException | None = None

    def report(self) -> Report:
        seconds = time.monotonic() - self._started
        return Report(self._lines, self._byte_count, self._acknowledged, seconds)

    async def add(self, block: LineBlock) -> None:
        """Queue the lines of `block`, and wait while the brokers are slower.

        Raises:
            BadRequestError: a line is too long; the lines before it are queued.
            WordcountError: an earlier batch was refused or not acknowledged.
        """
        sizes = list(map(len, block.lines))
        if max(sizes) <= self._longest_bytes:
            await self._append(block, sum(sizes))
            return
        good = next(index for index, size in enumerate(sizes) if size > self._longest_bytes)
        await self._append(block.part(0, good), sum(sizes[:good]))
        raise block.too_long(good, self._longest_bytes)

    async def flush(self) -> None:
        """Send the batch that is being filled."""
        if self._error is not None:
            raise self._failure() from self._error
        batch, self._batch = self._batch, self._producer.create_batch()
        if not (count := batch.record_count()):
            return
        try:
            sent = await self._producer.send_batch(batch, self._topic, partition=next(self._partitions))
        except KafkaError as error:
            self._error = error
            raise self._failure() from error
        self._pending.add(sent)
        sent.add_done_callback(partial(self._settled, count))
        # aiokafka's sender and the acknowledgements need a turn of the event loop, also while many partitions take batches at once.
        await asyncio.sleep(0)
        self._tell_progress()

    async def finish(self) -> None:
        """Send the last batch, and return when every line is acknowledged."""
        await self.flush()
        while self._pending and self._error is None:
            done, _ = await asyncio.wait(
                self._pending, timeout=STALL_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._error = TimeoutError(f"no acknowledgement for {STALL_TIMEOUT_S:.0f} s")
            self._tell_progress()
        if self._error is not None:
            raise self._failure() from self._error

    async def _append(self, block: LineBlock, byte_count: int) -> None:
        self._lines += len(block.lines)
        self._byte_count += byte_count
        self._timed = block.times_ms is not None
        times_ms = itertools.repeat(int(time.time() * 1000)) if block.times_ms is None else block.times_ms
        key = self._key
        append = self._batch.append
        for line, time_ms in zip(block.lines, times_ms, strict=False):
            if append(timestamp=time_ms, key=key, value=line) is None:
                await self.flush()
                append = self._batch.append
                append(timestamp=time_ms, key=key, value=line)

    def _settled(self, count: int, sent: asyncio.Future[Any]) -> None:
        self._pending.discard(sent)
        if sent.cancelled():
            return
        if error := sent.exception():
            self._error = self._error or error
            return
        self._acknowledged += count
        if self._timed and sent.result().timestamp_type == _LOG_APPEND_TIME:
            self._error = self._error or _TimesReplacedError()

    def _tell_progress(self) -> None:
        if time.monotonic() - self._progress_told >= _PROGRESS_S:
            self._progress_told = time.monotonic()
            self._on_progress(self.report())

    def _failure(self) -> WordcountError:
        assert self._error is not None
        if isinstance(self._error, _TimesReplacedError):
            return _times_replaced(self._topic)
        missing = self._lines - self._acknowledged
        what = f"{missing:,} of {self._lines:,} lines were not acknowledged"
        if self._timed and isinstance(self._error, InvalidTimestampError):
            return _times_refused(self._topic, what)
        return _refusal(self._error, self._settings, what)


def _times_replaced(topic: str) -> ConfigurationError:
    return ConfigurationError(
        f'topic "{topic}" has message.timestamp.type=LogAppendTime: its brokers replaced the times of the lines',
        "set message.timestamp.type=CreateTime of the topic before the lines are sent again; some were sent",
    )


def _times_refused(topic: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f'topic "{topic}" takes no times so far from the clock of its brokers; {what}',
        "raise message.timestamp.before.max.ms (times in the past) or message.timestamp.after.max.ms (times to come) of the topic",
    )


def _refusal(error: BaseException, settings: Settings, what: str = "nothing was sent") -> WordcountError:
    topic = settings.topic
    if isinstance(error, MessageSizeTooLargeError):
        return ConfigurationError(
            f'topic "{topic}" takes no batch of {BATCH_BYTES:,} bytes; {what}',
            f"raise max.message.bytes of the topic to {BATCH_BYTES + 1024} or more",
        )
    if denied := rights_of(settings).denied(error, Right("Write", "topic", topic)):
        return ConfigurationError(f"{what}; {denied.message}", denied.remedy)
    if refused := refusal(error, topic, None):
        return ConfigurationError(f"{what}; {refused.message}", refused.remedy)
    return BrokerUnavailableError(
        f'{what} by topic "{topic}" ({error!r})',
        "check the brokers (wordcount doctor) and send the lines again",
    )


def _producer(settings: Settings) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        **connection(settings),
        acks="all",
        enable_idempotence=True,
        compression_type=None if settings.compression == "none" else settings.compression,
        max_batch_size=BATCH_BYTES,
    )
    # The producer uses this time-out for a batch that waits to be sent; the time-out of a request is that of the connection.
    producer._request_timeout_ms = int(STALL_TIMEOUT_S * 1000)
    return producer
