"""What can be chosen about text: profile, value format, and what becomes of input that is not plain text.

The settings offer exactly these choices. Imports nothing that takes time, since every command reads the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["java-s", "whitespace", "unicode"]
FormatName = Literal["text", "json"]

CountSkipOrDeadLetter = Literal["count", "skip", "dead_letter"]
ReplaceSkipOrDeadLetter = Literal["replace", "skip", "dead_letter"]
SkipOrDeadLetter = Literal["skip", "dead_letter"]
CountOrSkip = Literal["count", "skip"]


@dataclass(frozen=True, slots=True)
class Policies:
    """What to do with records and words that are not plain text. Each has the name of its setting, and its default.

    Attributes:
        on_null: a record without a value; `count` = a counted record without words.
        on_invalid_utf8: a value that is no UTF-8; `replace` = as `bytes.decode("utf-8", "replace")` reads it.
        on_invalid_json: a value that is no JSON document, where the format is JSON.
        on_missing_text: a document without a string where the pointer points.
        on_oversized_word: a word of more than `max_word_bytes`; `skip` = the word, `dead_letter` = its record.
        on_oversized_record: a value of more than `max_record_bytes`, whatever is in it; its dead letter has no value.
        on_empty_word: the empty word, which only profile `java-s` yields.
        max_word_bytes: longest word counted, in bytes of UTF-8, inclusive, >= 1.
        max_record_bytes: longest value that is looked at, in bytes, inclusive, >= 1.
    """

    on_null: CountSkipOrDeadLetter = "skip"
    on_invalid_utf8: ReplaceSkipOrDeadLetter = "replace"
    on_invalid_json: SkipOrDeadLetter = "dead_letter"
    on_missing_text: SkipOrDeadLetter = "dead_letter"
    on_oversized_word: SkipOrDeadLetter = "skip"
    on_oversized_record: SkipOrDeadLetter = "dead_letter"
    on_empty_word: CountOrSkip = "count"
    max_word_bytes: int = 16_384
    max_record_bytes: int = 16_777_216
