"""The event time of a comparison of windows: when each line happened, and how often each word occurs in each window.

Every record of the topic is later than the one before it or at the same time, so the partitions advance together.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache

SIZE_S = 60
"""Length of a tumbling window, in seconds; windows begin at multiples of it since 1970."""

RECORDS_PER_S = 100_000
"""Default number of lines per second of event time, of all partitions together."""

START_MS = round(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1000
"""Time of the first line, in ms since 1970; a window begins here."""


class EventTime:
    """The times of the lines of one topic, and the counts of their words by window.

    Args:
        lines: number of lines with words, at least 1. Further lines have the time at which the last window ends.
        records_per_s: number of lines per second of event time.
    """

    def __init__(self, lines: int, records_per_s: float) -> None:
        self._lines = lines
        self._records_per_s = records_per_s
        self._counts: dict[int, Counter[bytes]] = defaultdict(Counter)

    def time_ms(self, number: int) -> int:
        """Return the time of a line by its number from 0, in ms since 1970."""
        if number < self._lines:
            return START_MS + int(number * 1000 // self._records_per_s)
        return window_ms(self.time_ms(self._lines - 1)) + SIZE_S * 1000

    def counted(self, chunks: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
        """Yield the chunks of lines, beginning with the first line, and count their words."""
        numbers = itertools.count()
        for chunk in chunks:
            starts = [window_ms(self.time_ms(number)) for _, number in zip(chunk, numbers, strict=False)]
            for start, lines in itertools.groupby(zip(starts, chunk, strict=True), lambda each: each[0]):
                self._counts[start].update(b" ".join(line for _, line in lines).split())
            yield chunk

    @property
    def by_window(self) -> Mapping[int, Counter[bytes]]:
        """Counts of the words that were counted so far, by the beginning of the window in ms since 1970."""
        return self._counts

    def counts(self) -> dict[str, int]:
        """Return the counts by `pane` of the words that were counted so far."""
        return {
            pane(word.decode(), start): count
            for start, words in self._counts.items()
            for word, count in words.items()
        }


def window_ms(time_ms: int) -> int:
    """Return the beginning of the window of a time, both in ms since 1970."""
    return time_ms - time_ms % (SIZE_S * 1000)


def windows(lines: int, records_per_s: int) -> int:
    """Return the number of windows with words of a topic with `lines` lines."""
    last = EventTime(lines, records_per_s).time_ms(lines - 1)
    return (window_ms(last) - START_MS) // (SIZE_S * 1000) + 1


def pane(word: str, start_ms: int) -> str:
    """Return the name of the count of a word in the window that begins at `start_ms`: the word, a space, the time in UTC."""
    return f"{word} {_utc(start_ms)}"


@cache
def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
