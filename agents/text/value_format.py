"""Value formats: where the text of a record is, in the value itself or in a string inside a JSON document, and where its time is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol, get_args

import msgspec
import numpy as np
import pyarrow as pa

from agents.text.choices import FormatName
from agents.text.json_pointer import parsed, value_at, written
from agents.text.times import UNREADABLE_MS, times_ms
from tables.model.records import Int64Array

FORMATS: Final = get_args(FormatName)

INVALID_JSON: Final = "invalid_json"
MISSING_TEXT: Final = "missing_text"

# Values that are converted from Arrow to Python together; the conversion holds the GIL.
_VALUES_AT_ONCE: Final = 2048


class UnreadableError(Exception):
    """A value contains no text; `reason` is `INVALID_JSON` or `MISSING_TEXT`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of an array of values.

    Attributes:
        texts: `pyarrow.StringArray`, one text per value; null if the value has no text.
        unreadable: (index, reason) of each value without a text, by ascending index.
        times: time of each value, see `agents.text.times.times_ms`; None = nobody asked for times.
    """

    texts: pa.StringArray
    unreadable: Sequence[tuple[int, str]] = ()
    times: Int64Array | None = None


class ValueFormat(Protocol):
    """Finds the texts of values that are valid UTF-8; `identity` names the place of the text in a value."""

    @property
    def identity(self) -> str: ...

    def texts(self, values: pa.StringArray, time_pointer: Sequence[str] | None = None) -> Texts:
        """Return the texts, and the times at the place that unescaped reference tokens name; None = no times are asked for."""
        ...


@dataclass(frozen=True, slots=True)
class TextFormat:
    """The format in which the value is the text."""

    @property
    def identity(self) -> str:
        return "text"

    def texts(self, values: pa.StringArray, time_pointer: Sequence[str] | None = None) -> Texts:
        assert time_pointer is None, "only a document has a place for a time"
        return Texts(values)


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The format in which the value is a JSON document (RFC 8259) and the text is a string in the document.

    Numbers are ignored, whatever their size. A byte order mark before the document is removed.

    Attributes:
        pointer: unescaped reference tokens of the JSON Pointer (RFC 6901) to the string; empty = the whole document.
    """

    pointer: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return f"json:{written(self.pointer)}"

    def text_of(self, value: bytes) -> str:
        """Return the text of one document; an escape that is a lone surrogate becomes U+FFFD.

        Raises:
            UnreadableError: `value` is not JSON in UTF-8, or has no string at the place that the pointer names.
        """
        return self._text_in(decoded(value))

    def texts(self, values: pa.StringArray, time_pointer: Sequence[str] | None = None) -> Texts:
        documents = values.cast(pa.binary())
        found: list[pa.StringArray] = []
        unreadable: list[tuple[int, str]] = []
        times = [np.empty(0, np.int64)]
        for start in range(0, len(documents), _VALUES_AT_ONCE):
            part = documents.slice(start, _VALUES_AT_ONCE).to_pylist()
            texts: list[str | None] = []
            moments: list[object] = [None] * len(part)
            for document in part:
                try:
                    root = decoded(document)
                    if time_pointer is not None:
                        moments[len(texts)] = _found(root, time_pointer)
                    texts.append(self._text_in(root))
                except UnreadableError as error:
                    unreadable.append((start + len(texts), error.reason))
                    texts.append(None)
            found.append(pa.array(texts, pa.string()))
            if time_pointer is not None:
                times.append(times_ms(moments))
        joined = pa.concat_arrays(found) if found else values
        if time_pointer is None:
            return Texts(joined, unreadable)
        all_times = np.concatenate(times)
        all_times[[index for index, reason in unreadable if reason == INVALID_JSON]] = UNREADABLE_MS
        return Texts(joined, unreadable, all_times)

    def _text_in(self, document: object) -> str:
        """Return the text of a decoded document. Raise UnreadableError if no string is at its place."""
        try:
            node = value_at(document, self.pointer)
        except LookupError:
            raise UnreadableError(MISSING_TEXT) from None
        if not isinstance(node, str):
            raise UnreadableError(MISSING_TEXT)
        return node if node.isascii() else _sound(node)


def value_format(name: FormatName, json_pointer: str = "") -> ValueFormat:
    """Build the value format of the settings.

    Args:
        name: text or json.
        json_pointer: pointer to the text (RFC 6901), for `json` only; "" = the whole document.

    Raises:
        ValueError: the pointer is malformed.
    """
    if name == "json":
        return JsonFormat(parsed(json_pointer))
    assert not json_pointer
    return TextFormat()


def decoded(value: bytes) -> object:
    """Return a JSON document (RFC 8259) in UTF-8 as dicts, lists, strings and numbers; a number out of range is an infinite float.

    Raises:
        UnreadableError: the value is not JSON; its reason is `INVALID_JSON`.
    """
    try:
        return msgspec.json.decode(value)
    except RecursionError:
        raise UnreadableError(INVALID_JSON) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decoded_leniently(value)


def _found(document: object, pointer: Sequence[str]) -> object:
    """Return the value at a place in a document; None if there is none."""
    try:
        return value_at(document, pointer)
    except LookupError:
        return None


def _sound(text: str) -> str:
    """Replace each lone surrogate, which an escape in JSON may name, by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded_leniently(value: bytes) -> object:
    """Decode a document that msgspec refuses, perhaps for a number out of range, a lone surrogate or a byte order mark.

    Raises:
        UnreadableError: the document is not JSON.
    """
    try:
        text = value.decode().removeprefix("\ufeff")
        return json.loads(text, parse_int=_integer, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise UnreadableError(INVALID_JSON) from None


def _integer(digits: str) -> float:
    """Return an integer of up to 20 digits exactly; any other as a float, because Python refuses integers of thousands of digits."""
    return int(digits) if len(digits) <= 20 else float(digits)


def _refused(constant: str) -> NoReturn:
    """Raise ValueError: Python's parser would accept NaN and Infinity, which are not JSON."""
    raise ValueError(constant)
