"""The line producer: sends lines to the input topic, one record each, in full batches per partition.

Each batch goes to the next partition, so that a file spreads over all partitions. Batches are large because reading has a cost per
batch. Records keep their order within a partition, not between partitions.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka.errors import InvalidTimestampError, KafkaError
from aiokafka.partitioner import DefaultPartitioner

from app.kafka.clients import connected, connection
from app.produce.delivery import BATCH_BYTES, MAX_VALUE_BYTES, Delivery, UndeliveredError
from app.produce.feed import Feed
from app.produce.refused_records import refusal_of
from app.produce.text_files import LineBlock
from tables.errors import BrokerUnavailableError, ConfigurationError, WordcountError
from tables.kafka.idempotence import idempotent_producer

if TYPE_CHECKING:
    from app.config.settings import Settings

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
        BadRequestError: a line is longer than `MAX_VALUE_BYTES`; the lines before it are acknowledged.
    """
    async with connected(settings, lambda: _producer(settings)) as producer:
        try:
            partitions = sorted(await producer.partitions_for(settings.topic))
        except KafkaError as error:
            raise _refusal(error, settings) from error
        if key is not None:
            partitions = [DefaultPartitioner()(key, partitions, partitions)]
        lines = _Lines(
            partial(Delivery, producer, settings.topic, partitions, key), settings, key, on_progress
        )
        feed = Feed(blocks)
        try:
            await _send_all(feed, lines, _sender(lines, lines_per_s, speed))
        finally:
            feed.close()
            on_progress(lines.report())
        return lines.report()


def _sender(
    lines: _Lines, lines_per_s: float | None, speed: float | None
) -> Callable[[LineBlock], Awaitable[None]]:
    assert lines_per_s is None or speed is None
    if speed is not None:
        from app.produce.event_pace import EventPace

        return EventPace(lines, speed).add
    return lines.add if lines_per_s is None else partial(_add_paced, lines, lines_per_s)


async def _send_all(
    feed: Feed[LineBlock], lines: _Lines, send: Callable[[LineBlock], Awaitable[None]]
) -> None:
    try:
        while (block := await feed.next(_LINGER_S, lines.flush)) is not None:
            await send(block)
    except WordcountError:
        # Lines before a refused line, or before the damaged part of a file, are delivered.
        await lines.finish()
        raise
    await lines.finish()


async def _add_paced(lines: _Lines, lines_per_s: float, block: LineBlock) -> None:
    at_once = max(1, int(lines_per_s / _SLICES_PER_S))
    for start in range(0, len(block.lines), at_once):
        report = lines.report()
        await asyncio.sleep(report.lines / lines_per_s - report.seconds)
        await lines.add(block.part(start, start + at_once))
        await lines.flush()


class _TimesReplacedError(Exception):
    """The brokers acknowledged a batch and replaced the times of its records."""


class _Lines:
    """Delivers lines, counts them, and explains why lines were not delivered.

    Args:
        delivery: makes the delivery, given the check of what the brokers say of a batch.
        settings, key, on_progress: as for `produce_blocks`.
    """

    def __init__(
        self,
        delivery: Callable[..., Delivery],
        settings: Settings,
        key: bytes | None,
        on_progress: Callable[[Report], None],
    ) -> None:
        self._delivery = delivery(check=self._check_time)
        self._settings = settings
        self._longest_bytes = MAX_VALUE_BYTES - len(key or b"")
        self._on_progress = on_progress
        self._started = self._progress_told = time.monotonic()
        self._timed = False
        self._lines = self._byte_count = 0

    def report(self) -> Report:
        seconds = time.monotonic() - self._started
        return Report(self._lines, self._byte_count, self._delivery.acknowledged, seconds)

    async def add(self, block: LineBlock) -> None:
        """Queue the lines of `block`, and wait while the brokers are slower.

        Raises:
            BadRequestError: a line is too long; the lines before it are queued.
            WordcountError: an earlier batch was refused or not acknowledged.
        """
        sizes = list(map(len, block.lines))
        if max(sizes) <= self._longest_bytes:
            await self._add(block, sum(sizes))
            return
        good = next(index for index, size in enumerate(sizes) if size > self._longest_bytes)
        await self._add(block.part(0, good), sum(sizes[:good]))
        raise block.too_long(good, self._longest_bytes)

    async def flush(self) -> None:
        """Send the lines that were added."""
        with self._explained():
            await self._delivery.flush()
        self._tell_progress()

    async def finish(self) -> None:
        """Send the last lines, and return when every line is acknowledged."""
        with self._explained():
            await self._delivery.finish(STALL_TIMEOUT_S, self._tell_progress)

    async def _add(self, block: LineBlock, byte_count: int) -> None:
        self._lines += len(block.lines)
        self._byte_count += byte_count
        self._timed = block.times_ms is not None
        times_ms = itertools.repeat(int(time.time() * 1000)) if block.times_ms is None else block.times_ms
        with self._explained():
            await self._delivery.add(block.lines, times_ms)
        self._tell_progress()

    def _check_time(self, metadata: Any) -> None:
        if self._timed and metadata.timestamp_type == _LOG_APPEND_TIME:
            raise _TimesReplacedError

    def _tell_progress(self) -> None:
        if time.monotonic() - self._progress_told >= _PROGRESS_S:
            self._progress_told = time.monotonic()
            self._on_progress(self.report())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UndeliveredError as error:
            assert error.__cause__ is not None
            raise self._failure(error.__cause__) from error.__cause__

    def _failure(self, cause: BaseException) -> WordcountError:
        if isinstance(cause, _TimesReplacedError):
            return _times_replaced(self._settings.topic)
        what = f"{self._lines - self._delivery.acknowledged:,} of {self._lines:,} lines were not acknowledged"
        if self._timed and isinstance(cause, InvalidTimestampError):
            return _times_refused(self._settings.topic, what)
        return _refusal(cause, self._settings, what)


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
    if refused := refusal_of(error, settings, what):
        return refused
    return BrokerUnavailableError(
        f'{what} by topic "{settings.topic}" ({error!r})',
        "check the brokers (wordcount doctor) and send the lines again",
    )


def _producer(settings: Settings) -> Any:
    return idempotent_producer(
        connection(settings),
        timeout_s=STALL_TIMEOUT_S,
        compression=settings.compression,
        batch_bytes=BATCH_BYTES,
    )
