"""The choices about text: profile, value format, and what becomes of records and words that are not plain text.

The settings offer exactly these choices. This module imports nothing that is slow to import, because every command reads the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ProfileName = Literal["java-s", "whitespace", "unicode"]
FormatName = Literal["text", "json"]

CountSkipOrDeadLetter = Literal["count", "skip", "dead_letter"]
ReplaceSkipOrDeadLetter = Literal["replace", "skip", "dead_letter"]
SkipOrDeadLetter = Literal["skip", "dead_letter"]
CountOrSkip = Literal["count", "skip"]
DropOrDeadLetter = Literal["drop", "dead_letter"]

RECORD_TIME: Final = "record"
"""The source of times that is the record's own timestamp; any other source is a JSON Pointer to the time in a document."""


@dataclass(frozen=True, slots=True)
class Policies:
    """Decisions about records and words that are not plain text. Each attribute has the name and the default of its setting.

    Attributes:
        on_null: for a record without a value; `count` = count the record as a record without words.
        on_invalid_utf8: for a value that is not UTF-8; `replace` = read the value as `bytes.decode("utf-8", "replace")` does.
        on_invalid_json: for a value that is not a JSON document, if the format is JSON.
        on_missing_text: for a JSON document without a string at the place that the pointer names.
        on_oversized_word: for a word of more than `max_word_bytes`; `skip` leaves the word out, `dead_letter` its whole record.
        on_oversized_record: for a value of more than `max_record_bytes`, whatever its content; its dead letter has no value.
        on_empty_word: for the empty word, which only profile `java-s` yields.
        on_late: for a record that comes too late for a window. Its words are counted in the totals in any case; `drop` = no more than
            that, `dead_letter` = a copy is sent, too.
        on_bad_time: as `on_late`, for a record whose time is missing, unreadable or impossible, or jumps too far ahead.
        max_word_bytes: longest word counted, in bytes of UTF-8, inclusive, >= 1.
        max_record_bytes: longest value that is read, in bytes, inclusive, >= 1.
    """

    on_null: CountSkipOrDeadLetter = "skip"
    on_invalid_utf8: ReplaceSkipOrDeadLetter = "replace"
    on_invalid_json: SkipOrDeadLetter = "dead_letter"
    on_missing_text: SkipOrDeadLetter = "dead_letter"
    on_oversized_word: SkipOrDeadLetter = "skip"
    on_oversized_record: SkipOrDeadLetter = "dead_letter"
    on_empty_word: CountOrSkip = "count"
    on_late: DropOrDeadLetter = "drop"
    on_bad_time: DropOrDeadLetter = "drop"
    max_word_bytes: int = 16_384
    max_record_bytes: int = 16_777_216
