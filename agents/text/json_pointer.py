"""JSON Pointer (RFC 6901): parses, writes and follows the path of names and indices that leads to a value in a JSON document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_ARRAY_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


def parsed(pointer: str) -> tuple[str, ...]:
    """Return the reference tokens of a pointer, unescaped; empty for "", which means the whole document.

    Raises:
        ValueError: the pointer is not empty and does not begin with a slash, or contains a ~ without 0 or 1 after it.
    """
    if not re.fullmatch(r"(/([^/~]|~[01])*)*", pointer):
        raise ValueError(pointer)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def written(tokens: Sequence[str]) -> str:
    """Return the pointer made of unescaped reference tokens; "" if there are no tokens."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def value_at(document: object, tokens: Sequence[str]) -> object:
    """Return the value in a decoded document to which unescaped reference tokens lead. Raise LookupError if they lead nowhere."""
    for token in tokens:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list) and _ARRAY_INDEX.fullmatch(token) and int(token) < len(document):
            document = document[int(token)]
        else:
            raise LookupError(token)
    return document
