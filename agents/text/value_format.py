"""Where the text of a record is: the value itself, or a string inside a JSON document."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol, get_args

import msgspec
import pyarrow as pa

from agents.text.choices import FormatName
from agents.text.json_pointer import parsed, written

FORMATS: Final = get_args(FormatName)

INVALID_JSON: Final = "invalid_json"
MISSING_TEXT: Final = "missing_text"

# Values taken out of Arrow at once, which holds the GIL.
_VALUES_AT_ONCE: Final = 2048

_ARRAY_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


class UnreadableError(Exception):
    """A value has no text; `reason` is `INVALID_JSON` or `MISSING_TEXT`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of some values.

    Attributes:
        texts: `pyarrow.StringArray`, one per value; null where the value has no text.
        unreadable: index of each value without a text, ascending, and the reason.
    """

    texts: pa.StringArray
    unreadable: Sequence[tuple[int, str]] = ()


class ValueFormat(Protocol):
    """Finds the texts of values that are valid UTF-8; `identity` names where it looks."""

    @property
    def identity(self) -> str: ...

    def texts(self, values: pa.StringArray) -> Texts: ...


@dataclass(frozen=True, slots=True)
class TextFormat:
    """The value is the text."""

    @property
    def identity(self) -> str:
        return "text"

    def texts(self, values: pa.StringArray) -> Texts:
        return Texts(values)


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The value is a JSON document (RFC 8259) and the text a string in it.

    Numbers are not looked at, whatever their size; one byte order mark before the document is left out.

    Attributes:
        pointer: JSON Pointer (RFC 6901) to the string, unescaped and split; empty = the whole document.
    """

    pointer: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return f"json:{written(self.pointer)}"

    def text_of(self, value: bytes) -> str:
        """The text of one document; an escape that is half a surrogate pair becomes U+FFFD.

        Raises:
            UnreadableError: `value` is no JSON (which is UTF-8), or has no string where the pointer points.
        """
        node = _decoded(value)
        for token in self.pointer:
            if isinstance(node, dict) and token in node:
                node = node[token]
            elif isinstance(node, list) and _ARRAY_INDEX.fullmatch(token) and int(token) < len(node):
                node = node[int(token)]
            else:
                raise UnreadableError(MISSING_TEXT)
        if not isinstance(node, str):
            raise UnreadableError(MISSING_TEXT)
        return node if node.isascii() else _sound(node)

    def texts(self, values: pa.StringArray) -> Texts:
        documents = values.cast(pa.binary())
        found: list[pa.StringArray] = []
        unreadable: list[tuple[int, str]] = []
        for start in range(0, len(documents), _VALUES_AT_ONCE):
            texts: list[str | None] = []
            for document in documents.slice(start, _VALUES_AT_ONCE).to_pylist():
                try:
                    texts.append(self.text_of(document))
                except UnreadableError as error:
                    unreadable.append((start + len(texts), error.reason))
                    texts.append(None)
            found.append(pa.array(texts, pa.string()))
        return Texts(pa.concat_arrays(found) if found else values, unreadable)


def value_format(name: FormatName, json_pointer: str = "") -> ValueFormat:
    """Build the format that settings ask for.

    Args:
        name: text or json.
        json_pointer: RFC 6901 pointer to the text, for `json` only; "" = the whole document.

    Raises:
        ValueError: the pointer is malformed.
    """
    if name == "json":
        return JsonFormat(parsed(json_pointer))
    assert not json_pointer
    return TextFormat()


def _decoded(value: bytes) -> object:
    try:
        return msgspec.json.decode(value)
    except RecursionError:
        raise UnreadableError(INVALID_JSON) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decoded_leniently(value)


def _sound(text: str) -> str:
    """`text` with U+FFFD for each half of a surrogate pair, which an escape may name."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded_leniently(value: bytes) -> object:
    """The document where msgspec refuses it for a number out of its range, half a surrogate pair or a byte order mark."""
    try:
        text = value.decode().removeprefix("\ufeff")
        return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise UnreadableError(INVALID_JSON) from None


def _number(_: str) -> float:
    """Stands for any number: none is text."""
    return 0.0


def _refused(constant: str) -> NoReturn:
    """Python's own parser would take NaN and Infinity, which are no JSON."""
    raise ValueError(constant)
