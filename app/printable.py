"""Text from outside, made fit to be shown: what would act on a terminal, or cannot be seen, is shown as an escape.

Words, paths, arguments, addresses and values of settings come from others. Whatever prints them passes them through this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

# Control characters (C0, DEL, C1), line and paragraph separators, halves of surrogate pairs; formats (joiners, overrides of direction,
# tags) except those that are seen, as the Arabic number signs; what else a renderer may leave out, except the common variation
# selectors, which only choose how the character before them looks. `tests/property/test_printable_properties.py` holds this list to
# the categories of Unicode.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    """`text` with escapes as in Python's string literals in place of characters that act on a terminal or cannot be seen."""
    return _UNPRINTABLE.sub(_python_escape, text)


def printable_lines(text: str) -> str:
    """`printable`, line by line: for text of which the line ends are ours, as those of a traceback."""
    return "\n".join(map(printable, text.split("\n")))


def json_text(value: Any, *, ascii_only: bool = False, default: Callable[[Any], Any] | None = None) -> str:
    r"""`value` as JSON on one line; what `printable` escapes is escaped in JSON's way: `\u202e`.

    Args:
        value: numbers, strings, None, lists, tuples and dicts of such, with keys that are strings.
        ascii_only: escape all that is not ASCII, for an output that cannot hold it.
        default: makes such a value of any other.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"), default=default)
    return _UNPRINTABLE.sub(_json_escape, text)


def _python_escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
