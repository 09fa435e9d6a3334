"""Clients of the brokers for commands and for the start of a worker: how they connect, why they cannot, and plain readers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from app.config.kafka_auth import kafka_auth
from app.kafka.handshake import refusal
from tables.errors import BrokerUnavailableError, InexactError
from tables.kafka import client as kafka_client
from tables.kafka.changelog_reader import ChangelogReader
from tables.kafka.client import REQUESTS_PER_STEP
from tables.kafka.offsets import TopicOffsets
from tables.kafka.rights import Right, Rights

if TYPE_CHECKING:
    from app.config.settings import Settings

POLL_MS: Final = 500
FETCH_WAIT_MS: Final = 20
"""Longest wait of the broker at the end of a partition; the first fetch of the next one waits behind it."""

SILENCE_POLLS: Final = 60
"""Polls in a row without a record or a step forward after which the broker counts as gone."""


def connection(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client takes."""
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "request_timeout_ms": settings.request_timeout_ms,
        **kafka_auth(settings),
    }


def step_timeout_s(settings: Settings) -> float:
    """Longest time for a connection, or for what takes a few requests."""
    return settings.request_timeout_ms / 1000 * REQUESTS_PER_STEP


def rights_of(settings: Settings) -> Rights:
    """Whose rights, for what brokers refuse."""
    return Rights.of(connection(settings))


@asynccontextmanager
async def connected(
    settings: Settings, make_client: Callable[[], Any], start: str = "start", stop: str = "stop"
) -> AsyncIterator[Any]:
    """Start an aiokafka client, and stop it in bounded time.

    Raises:
        BrokerUnavailableError: it did not start within two time-outs of a request; says why.
        ConfigurationError: the brokers do not let this process in.
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
    """The error for brokers that do not answer."""
    return BrokerUnavailableError(
        f'no broker answers at WORDCOUNT_BOOTSTRAP_SERVERS="{settings.bootstrap_servers}" ({reason})',
        "start a broker there, or set the address and the security settings of yours",
    )


@asynccontextmanager
async def topic_offsets(
    settings: Settings, isolation: str = "read_uncommitted"
) -> AsyncIterator[TopicOffsets]:
    """Asks the brokers for ends of partitions and ids of topics."""
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
    """Reads the changelog topic of this name."""
    return ChangelogReader(changelog, connection(settings), step_timeout_s(settings))


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A plain consumer that belongs to no group.

    Raises:
        BrokerUnavailableError: no broker answers, or one went away.
        ConfigurationError: this user may not read the topic.
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
            if denied := rights_of(settings).denied(error, Right("Read", "topic", settings.topic)):
                raise denied from error
            raise BrokerUnavailableError(f"the topic cannot be read ({error!r})") from error


async def records(
    consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int
) -> AsyncIterator[tuple[int, bytes | None]]:
    """(offset, value) of every record in [start, end).

    Raises:
        InexactError: some of them are gone by now.
        BrokerUnavailableError: no answer.
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
                yield record.offset, record.value
        before, position = position, await consumer.position(tp)
        silent = silent + 1 if position == before else 0
        if silent > SILENCE_POLLS:
            raise BrokerUnavailableError(
                f"{tp.topic} partition {tp.partition}: no answer at offset {position}"
            )


class _LastLogLine(logging.Handler):
    """Keeps what aiokafka says when it cannot connect: its exception does not tell, as for a wrong password."""

    line = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.line = record.getMessage()

    def __enter__(self) -> _LastLogLine:
        logging.getLogger("aiokafka").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("aiokafka").removeHandler(self)


async def _stop(stop: Callable[[], Any]) -> None:
    # A producer's stop waits for its batches, which are tried for ever where the broker is away.
    stopping = asyncio.ensure_future(stop())
    _, late = await asyncio.wait([stopping], timeout=1.0)
    for task in late:
        task.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
