"""Escapes for text from outside: characters that control a terminal or are invisible are shown as escapes.

Words, paths, arguments, addresses and values of settings come from outside. All code that prints them uses this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

# The list has: control characters (C0, DEL, C1), line and paragraph separators, halves of surrogate pairs; format characters (joiners,
# overrides of direction, tags) except visible ones such as the Arabic number signs; and other characters that a renderer may leave
# out, except the common variation selectors, which only choose how the character before them looks.
# `tests/property/test_printable_properties.py` compares the list with the categories of Unicode.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    """Return `text` with invisible characters and those that control a terminal escaped as in Python's string literals."""
    return _UNPRINTABLE.sub(_python_escape, text)


def printable_lines(text: str) -> str:
    """Return `text` escaped as by `printable`, but with its line feeds: for text whose line ends come from this program."""
    return "\n".join(map(printable, text.split("\n")))


def json_text(value: Any, *, ascii_only: bool = False, default: Callable[[Any], Any] | None = None) -> str:
    r"""Return `value` as JSON on one line; characters that `printable` escapes are escaped as in JSON, for example `\u202e`.

    Args:
        value: numbers, strings, None, and lists, tuples and dicts of these, with strings as keys.
        ascii_only: whether all characters outside of ASCII are escaped, for an output that cannot hold them.
        default: converts a value of another type into one of the types above; None = such a value raises TypeError.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"), default=default)
    return _UNPRINTABLE.sub(_json_escape, text)


def _python_escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
