"""JSON Pointer (RFC 6901): the names and numbers that lead to a value in a document."""

from __future__ import annotations

import re
from collections.abc import Sequence


def parsed(pointer: str) -> tuple[str, ...]:
    """The reference tokens of a pointer, unescaped; none for "", which is the whole document.

    Raises:
        ValueError: the pointer does not begin with a slash, or has a ~ that is followed by neither 0 nor 1.
    """
    if not re.fullmatch(r"(/([^/~]|~[01])*)*", pointer):
        raise ValueError(pointer)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def written(tokens: Sequence[str]) -> str:
    """The pointer of reference tokens, escaped."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)
