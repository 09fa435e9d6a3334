"""Kafka clients for commands and for the start of a worker: how a client connects, why it cannot connect, and plain readers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from app.config.kafka_auth import kafka_auth
from app.kafka.handshake import refusal
from tables.errors import BrokerUnavailableError, InexactError
from tables.fetch.id_headers import id_in
from tables.kafka import client as kafka_client
from tables.kafka.client import REQUESTS_PER_STEP
from tables.kafka.offsets import TopicOffsets
from tables.kafka.rights import Right, Rights

if TYPE_CHECKING:
    from app.config.settings import Settings
    from tables.kafka.changelog_reader import ChangelogReader

POLL_MS: Final = 500
FETCH_WAIT_MS: Final = 20
"""Longest wait of the broker at the end of a partition; the first fetch of the next partition has to wait for this fetch."""

SILENCE_POLLS: Final = 60
"""Polls in a row without a new position after which the broker counts as unavailable."""


class InputRecord(NamedTuple):
    """A record as a plain consumer reads it.

    Attributes:
        offset: its offset.
        value: its value; None = it has none.
        time_ms: its time in milliseconds since 1970; -1 = it has none.
        record_id: its id, see `tables.model.record_ids`; None = it has none.
    """

    offset: int
    value: bytes | None
    time_ms: int
    record_id: bytes | None = None


def connection(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes."""
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "request_timeout_ms": settings.request_timeout_ms,
        **kafka_auth(settings),
    }


def step_timeout_s(settings: Settings) -> float:
    """Return the longest time, in seconds, for a connection or for a step of several requests."""
    return settings.request_timeout_ms / 1000 * REQUESTS_PER_STEP


def rights_of(settings: Settings) -> Rights:
    """Return the user of these settings, for errors about rights that brokers deny."""
    return Rights.of(connection(settings))


@asynccontextmanager
async def connected(
    settings: Settings, make_client: Callable[[], Any], start: str = "start", stop: str = "stop"
) -> AsyncIterator[Any]:
    """Start an aiokafka client, yield the client, and stop the client in bounded time.

    Args:
        settings: say where and how to connect.
        make_client: creates the client, which is not started.
        start, stop: names of the client's methods that start and stop the client.

    Raises:
        BrokerUnavailableError: the client did not start within two time-outs of a request; the message says why.
        ConfigurationError: the brokers refuse this process.
    """
    kafka_client.install()
    client = make_client()
    began_s, timeout_s = monotonic(), step_timeout_s(settings)
    try:
        with _LastLogLine(logging.WARNING) as said:
            try:
                await asyncio.wait_for(getattr(client, start)(), timeout_s)
            except TimeoutError:
                reason = f"no answer within {timeout_s:g} s"
                raise unavailable(settings, reason) from None
            except (KafkaError, OSError) as error:
                if refused := await refusal(settings, began_s):
                    raise refused from error
                raise unavailable(settings, said.line or str(error)) from error
        yield client
    finally:
        await _stop(getattr(client, stop))


def unavailable(settings: Settings, reason: str) -> BrokerUnavailableError:
    """Return the error for brokers that do not answer."""
    return BrokerUnavailableError(
        f'no broker answers at WORDCOUNT_BOOTSTRAP_SERVERS="{settings.bootstrap_servers}" ({reason})',
        "start a broker there, or set the address and the security settings of your brokers",
    )


@asynccontextmanager
async def topic_offsets(
    settings: Settings, isolation: str = "read_uncommitted"
) -> AsyncIterator[TopicOffsets]:
    """Yield a `TopicOffsets` on its own client, which is stopped at the end of the block.

    Raises:
        BrokerUnavailableError: no answer to a question within the block.
        ConfigurationError: the brokers refuse this process.
    """
    offsets = TopicOffsets(connection(settings), step_timeout_s(settings), isolation)
    began_s = monotonic()
    try:
        yield offsets
    except BrokerUnavailableError as error:
        if refused := await refusal(settings, began_s):
            raise refused from error
        raise
    finally:
        await offsets.close()


def changelog_reader(settings: Settings, changelog: str) -> ChangelogReader:
    """Return a reader of the changelog topic with the name `changelog`."""
    # The reader imports Arrow, which takes 0.1 s and 37 MB; most commands that ask brokers read no changelog.
    from tables.kafka.changelog_reader import ChangelogReader

    return ChangelogReader(changelog, connection(settings), step_timeout_s(settings))


@asynccontextmanager
async def reader(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a plain consumer of `topic` that belongs to no group, stopped at the end of the block.

    Raises:
        BrokerUnavailableError: no broker answers, or a read within the block failed.
        ConfigurationError: this user may not read the topic, or the brokers refuse this process.
    """

    def consumer() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **connection(settings),
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level=settings.isolation,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async with connected(settings, consumer) as started:
        try:
            yield started
        except (KafkaError, TimeoutError) as error:
            if denied := rights_of(settings).denied(error, Right("Read", "topic", topic)):
                raise denied from error
            raise BrokerUnavailableError(f"the topic cannot be read ({error!r})") from error


async def records(
    consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int
) -> AsyncIterator[InputRecord]:
    """Yield every record from `start` (inclusive) to `end` (exclusive).

    Raises:
        InexactError: records of this range were deleted.
        BrokerUnavailableError: no answer for `SILENCE_POLLS` polls.
    """
    consumer.assign([tp])
    consumer.seek(tp, start)
    position, silent = start, 0
    while position < end:
        try:
            found = (await consumer.getmany(tp, timeout_ms=POLL_MS)).get(tp, [])
        except OffsetOutOfRangeError as error:
            raise InexactError(
                f"{tp.topic} partition {tp.partition} has no offset {position} any more"
            ) from error
        for record in found:
            if record.offset < end:
                time_ms = -1 if record.timestamp is None else record.timestamp
                yield InputRecord(record.offset, record.value, time_ms, id_in(record.headers))
        before, position = position, await consumer.position(tp)
        silent = silent + 1 if position == before else 0
        if silent > SILENCE_POLLS:
            raise BrokerUnavailableError(
                f"{tp.topic} partition {tp.partition}: no answer at offset {position}"
            )


class _LastLogLine(logging.Handler):
    """Keeps the last log line of aiokafka, which names the cause of a failed connection; aiokafka's exception often does not."""

    line = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.line = record.getMessage()

    def __enter__(self) -> _LastLogLine:
        logging.getLogger("aiokafka").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("aiokafka").removeHandler(self)


async def _stop(stop: Callable[[], Any]) -> None:
    # A producer's stop waits for its batches, which aiokafka retries for ever while the broker does not answer.
    stopping = asyncio.ensure_future(stop())
    _, late = await asyncio.wait([stopping], timeout=1.0)
    for task in late:
        task.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
