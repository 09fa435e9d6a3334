"""The sample text of `wordcount run`: the language reference behind `help()`, which every CPython has."""

from __future__ import annotations

from collections.abc import Iterator

from app.produce.text_files import LineBlock

PAST_S = 300
"""Seconds before its end over which the sample text happens: enough windows of a minute that trends have something to compare with."""


def sample_blocks(end_ms: int | None = None) -> Iterator[LineBlock]:
    """Yield the text, more than 10,000 lines in a fixed order, in blocks.

    Args:
        end_ms: time of the last line, in ms since 1970; the lines happen evenly within the last `PAST_S`. None = no line has a
            time.
    """
    from pydoc_data.topics import topics

    parts = [(name, text.encode().splitlines()) for name, text in sorted(topics.items()) if text]
    total, before = sum(len(lines) for _, lines in parts), 0
    for name, lines in parts:
        times_ms = None
        if end_ms is not None:
            left = range(total - before - 1, total - before - 1 - len(lines), -1)
            times_ms = [end_ms - number * PAST_S * 1000 // total for number in left]
        yield LineBlock(f"help({name!r})", 1, lines, times_ms)
        before += len(lines)
