"""The sample text of `wordcount run`: the language reference behind `help()`, which every CPython has."""

from __future__ import annotations

from collections.abc import Iterator


def sample_lines() -> Iterator[bytes]:
    """Yield the lines of the text, more than 10,000, in a fixed order."""
    from pydoc_data.topics import topics

    for _, text in sorted(topics.items()):
        yield from text.encode().splitlines()
