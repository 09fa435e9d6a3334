"""The independent recount: every record of a topic is read by a plain consumer and counted one by one.

The recount shares only the definition of a word with the worker's way of counting: no batches, no Arrow, no changelog, no store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from agents.text.choices import Policies
from agents.text.json_pointer import parsed, value_at
from agents.text.tally import INVALID_UTF8, NULL, OVERSIZED_RECORD, OVERSIZED_WORD, RecordTally
from agents.text.times import MISSING_MS, UNREADABLE_MS, times_ms
from agents.text.value_format import INVALID_JSON, JsonFormat, UnreadableError, decoded
from app.config.text import tokenizer_of, value_format_of
from app.kafka.clients import InputRecord, reader, records, topic_offsets
from app.operate.repeat_recount import RepeatRecount
from tables.model.tally import DUPLICATE

if TYPE_CHECKING:
    from app.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Counted:
    """What a correct worker makes of one record.

    Attributes:
        outcome: `counted`, `skipped` or `dead_lettered`.
        reason: why the record is not counted, one of `agents.text.tally.REASONS` or `DUPLICATE`; "" = the record is counted.
        words: the words in the order of the text; empty if the record is not counted.
    """

    outcome: str = "counted"
    reason: str = ""
    words: Sequence[str] = ()


REPEATED: Final = Counted("skipped", DUPLICATE)
"""What a correct worker makes of a record that repeats an earlier one with its id."""


class Definition:
    """Decides what a correct worker with `settings` makes of a record, one record at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._format = value_format_of(settings)
        self.tokenizer = tokenizer_of(settings)

    @property
    def identity(self) -> str:
        """The name of tokeniser and value format in markers."""
        return RecordTally(self.tokenizer, self._format, Policies()).identity

    def word(self, text: str) -> str:
        """Return `text` as the tokeniser normalises it, or `text` itself if the tokeniser does not find exactly one word in it."""
        words = self.tokenizer.tokens(text)
        return words[0] if len(words) == 1 else text

    def __call__(self, value: bytes | None) -> Counted:
        """Return what a correct worker makes of a record with this value; None = a null value."""
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


class TimeOf:
    """Decides which time a correct worker finds for a record, one record at a time.

    Args:
        settings: policies for values that are not plain text.
        source: `record`, or the JSON Pointer to the time in a value.
    """

    def __init__(self, settings: Settings, source: str) -> None:
        self._settings = settings
        self._pointer = None if source == "record" else parsed(source)

    def __call__(self, record: InputRecord) -> int:
        """Return the time in milliseconds since 1970; `MISSING_MS` = the record has none, `UNREADABLE_MS` = it cannot be read."""
        settings, value = self._settings, record.value
        if self._pointer is None:
            return record.time_ms
        if value is None:
            return MISSING_MS
        if len(value) > settings.max_record_bytes:
            return UNREADABLE_MS
        try:
            text = value.decode("utf-8", "replace" if settings.on_invalid_utf8 == "replace" else "strict")
            found = value_at(decoded(text.encode()), self._pointer)
        except (UnicodeDecodeError, UnreadableError):
            return UNREADABLE_MS
        except LookupError:
            return MISSING_MS
        return int(times_ms([found])[0])


async def recount(settings: Settings) -> Counter[str]:
    """Return the counts of the input topic up to its present end or to the first open transaction; all words are held in memory."""
    definition = Definition(settings)
    counts: Counter[str] = Counter()
    async with (
        topic_offsets(settings, settings.isolation) as offsets,
        reader(settings, settings.topic) as consumer,
    ):
        for partition in range((await offsets.describe(settings.topic)).partitions):
            start, end = await offsets.bounds(settings.topic, partition)
            tp = TopicPartition(settings.topic, partition)
            repeats = RepeatRecount()
            async for record in records(consumer, tp, start, end):
                if not repeats.is_repeat(record.record_id):
                    counts.update(definition(record.value).words)
    return counts


def _rejected(policy: str, reason: str) -> Counted:
    return Counted("dead_lettered" if policy == "dead_letter" else "skipped", reason)
