"""A text that every CPython carries: the language reference behind `help()`."""

from __future__ import annotations

from collections.abc import Iterator


def sample_lines() -> Iterator[bytes]:
    """Its lines, over 10,000 of them, in a fixed order."""
    from pydoc_data.topics import topics

    for _, text in sorted(topics.items()):
        yield from text.encode().splitlines()
