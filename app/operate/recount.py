"""The independent recount: every record of a topic, read by a plain consumer and counted by the tokeniser's definition.

Shares nothing with the counting path but the meaning of a word: no batches, no Arrow, no changelog, no store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from agents.text.tally import INVALID_UTF8, NULL, OVERSIZED_RECORD, OVERSIZED_WORD, Policies, RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import INVALID_JSON, JsonFormat, UnreadableError, value_format
from app.kafka.admin import connected, connection, rights_of, step_timeout_s
from app.kafka.handshake import refusal
from tables.errors import BrokerUnavailableError, InexactError
from tables.kafka.offsets import TopicOffsets
from tables.kafka.rights import Right

if TYPE_CHECKING:
    from app.config.settings import Settings

POLL_MS: Final = 500
FETCH_WAIT_MS: Final = 20
"""Longest wait of the broker at the end of a partition; the first fetch of the next one waits behind it."""

SILENCE_POLLS: Final = 60
"""Polls in a row without a record or a step forward after which the broker counts as gone."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What has to become of one record.

    Attributes:
        outcome: `counted`, `skipped` or `dead_lettered`.
        reason: why it is not counted, one of `agents.text.tally.REASONS`; "" = it is.
        words: in order; none where it is not counted.
    """

    outcome: str = "counted"
    reason: str = ""
    words: Sequence[str] = ()


class Definition:
    """What has to become of a record, as `settings` say; one record at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._format = value_format(settings.value_format, settings.json_pointer)
        self.tokenizer = tokenizer(
            settings.profile,
            stop_words=settings.stop_words,
            min_length=settings.min_word_length,
            max_length=settings.max_word_length,
        )

    @property
    def identity(self) -> str:
        """The name that markers have for it."""
        return RecordTally(self.tokenizer, self._format, Policies()).identity

    def word(self, text: str) -> str:
        """`text` as it is counted; as it stands where it is not one word."""
        words = self.tokenizer.tokens(text)
        return words[0] if len(words) == 1 else text

    def __call__(self, value: bytes | None) -> Counted:
        """Count the record of this value."""
        settings = self._settings
        if value is None:
            return Counted() if settings.on_null == "count" else _rejected(settings.on_null, NULL)
        if len(value) > settings.max_record_bytes:
            return _rejected(settings.on_oversized_record, OVERSIZED_RECORD)
        try:
            text = value.decode()
        except UnicodeDecodeError:
            if settings.on_invalid_utf8 != "replace":
                return _rejected(settings.on_invalid_utf8, INVALID_UTF8)
            text = value.decode("utf-8", "replace")
        if isinstance(self._format, JsonFormat):
            try:
                text = self._format.text_of(text.encode())
            except UnreadableError as error:
                invalid = error.reason == INVALID_JSON
                return _rejected(
                    settings.on_invalid_json if invalid else settings.on_missing_text, error.reason
                )
        words = self.tokenizer.tokens(text)
        fitting = [word for word in words if len(word.encode()) <= settings.max_word_bytes]
        if settings.on_oversized_word == "dead_letter" and len(fitting) < len(words):
            return _rejected("dead_letter", OVERSIZED_WORD)
        if settings.on_empty_word == "skip":
            fitting = [word for word in fitting if word]
        return Counted(words=fitting)


async def recount(settings: Settings) -> Counter[str]:
    """Count the topic up to its present end, or to the first open transaction; holds all words in memory."""
    definition = Definition(settings)
    counts: Counter[str] = Counter()
    async with topic_offsets(settings, settings.isolation) as offsets, reader(settings) as consumer:
        for partition in range((await offsets.describe(settings.topic)).partitions):
            start, end = await offsets.bounds(settings.topic, partition)
            tp = TopicPartition(settings.topic, partition)
            async for _, value in records(consumer, tp, start, end):
                counts.update(definition(value).words)
    return counts


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


def _rejected(policy: str, reason: str) -> Counted:
    return Counted("dead_lettered" if policy == "dead_letter" else "skipped", reason)
