"""Times that stand in lines: where a line names its time, and which value is sent with that time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from agents.text.json_pointer import parsed, value_at, written
from agents.text.times import time_ms, times_ms
from agents.text.value_format import UnreadableError, decoded
from app.printable import json_text
from app.produce.text_files import LineBlock
from tables.errors import BadRequestError, ConfigurationError, WordcountError

_COLUMN: Final = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_SHOWN_CHARACTERS: Final = 60

_CORRECT: Final = "times are ISO 8601 or numbers since 1970: correct or remove the line"
_KEEP: Final = "set retention.ms of the topic to -1, or its brokers may delete the line before it is counted"


class NoTimeError(Exception):
    """A line does not have the place at which its time should be; the text of the error says what the line lacks."""


class TimePlace(Protocol):
    """The place of the time in a line; `name` is the place in messages."""

    @property
    def name(self) -> str: ...

    def split(self, line: bytes) -> tuple[object, bytes]:
        """Return what stands at the place, and the value to send. Raise `NoTimeError` if the line has no such place."""
        ...


@dataclass(frozen=True, slots=True)
class JsonPlace:
    """A value in a line that is a JSON document, which is sent as it is.

    Attributes:
        pointer: unescaped reference tokens of the JSON Pointer (RFC 6901) to the time.
    """

    pointer: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"at {written(self.pointer)}"

    def split(self, line: bytes) -> tuple[object, bytes]:
        try:
            return value_at(decoded(line), self.pointer), line
        except UnreadableError:
            raise NoTimeError("the line is not JSON") from None
        except LookupError:
            raise NoTimeError(f"nothing is {self.name}") from None


@dataclass(frozen=True, slots=True)
class ColumnPlace:
    """A column of a line whose columns are separated by tabs; the other columns, with tabs between them, are sent.

    Attributes:
        column: number of the column; the first column has number 1.
    """

    column: int

    @property
    def name(self) -> str:
        return f"in column {self.column}"

    def split(self, line: bytes) -> tuple[object, bytes]:
        columns = line.split(b"\t", self.column)
        if len(columns) < self.column:
            raise NoTimeError(f"the line has no column {self.column}; its columns are {len(columns)}")
        text = columns.pop(self.column - 1)
        return text.decode("utf-8", "replace"), b"\t".join(columns)


def time_place(flag: str) -> TimePlace:
    """Return the place that the flag --timestamps names, if it is not "now".

    Raises:
        ConfigurationError: the flag is neither a JSON Pointer that is not empty, nor the number of a column.
    """
    if _COLUMN.fullmatch(flag):
        return ColumnPlace(int(flag))
    if not flag.startswith("/"):
        raise ConfigurationError(
            f'--timestamps "{flag}" is neither now, nor a JSON Pointer, nor the number of a column',
            "give /time for the member time of JSON lines, or 1 for the first of the columns that tabs separate",
        )
    try:
        return JsonPlace(parsed(flag))
    except ValueError:
        raise ConfigurationError(
            f'--timestamps "{flag}" is not a JSON Pointer', "write ~ in a name as ~0, and / as ~1"
        ) from None


def timed(
    blocks: Iterable[LineBlock], place: TimePlace, *, longest_bytes: int, oldest_ms: int = 0
) -> Iterator[LineBlock]:
    """Yield the values of lines with the times that stand in the lines.

    Args:
        blocks: the lines; a line longer than `longest_bytes` may be incomplete.
        place: where the time of a line is.
        longest_bytes: longest line, with its time.
        oldest_ms: oldest time that the topic keeps, in milliseconds since 1970, >= 0.

    Raises:
        BadRequestError: a line is too long, or has no time, one that cannot be read, one before 1970 or one before `oldest_ms`. What
            was before that line has been yielded.
    """
    for block in blocks:
        found: list[object] = []
        values: list[bytes] = []
        error: WordcountError | None = None
        for index, line in enumerate(block.lines):
            if len(line) > longest_bytes:
                error = block.too_long(index, longest_bytes)
                break
            try:
                time, value = place.split(line)
            except NoTimeError as lack:
                error = _error(block, index, str(lack), _CORRECT)
                break
            found.append(time)
            values.append(value)
        times = times_ms(found)
        if len(unusable := np.flatnonzero(times < oldest_ms)):
            index = int(unusable[0])
            error = _error(block, index, *_unusable(found[index], place))
            times = times[:index]
        if len(times):
            yield LineBlock(block.source, block.first_line, values[: len(times)], times.tolist())
        if error is not None:
            raise error


def _unusable(found: object, place: TimePlace) -> tuple[str, str]:
    """Return what is wrong with the time of a line, and what helps."""
    there = f"{_shown(found)} {place.name}"
    if (ms := time_ms(found)) is None:
        return f"{there} is no time", _CORRECT
    if ms < 0:  # -1 is Kafka's mark for "no time", and its clients refuse other negative times
        return f"{there} is before 1970, and Kafka has no such times", _CORRECT
    return f"{there} is longer ago than the topic keeps records", _KEEP


def _shown(found: object) -> str:
    if isinstance(found, dict | list):
        return "an object" if isinstance(found, dict) else "an array"
    text = json_text(found)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _error(block: LineBlock, index: int, what: str, remedy: str) -> BadRequestError:
    return BadRequestError(
        f"{block.source}, line {block.first_line + index:,}: {what}",
        f"{remedy}; the lines before it were sent",
    )
