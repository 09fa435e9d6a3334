"""Windows of a chaos run: their settings, the times of records, and the true counts, found record by record in plain Python."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from tables.model.event_clock import EventClock, Jump

SIZES_S = (5, 60)
GRACE_S = 2
RETENTION_S = 600
MAX_JUMP_MS = 600_000
CONFIRMING_RECORDS = 100
SPREAD_RECORDS = 10
SETTINGS = {
    "WORDCOUNT_WINDOWS": "5s,1m",
    "WORDCOUNT_GRACE": "2s",
    "WORDCOUNT_RETENTION": "10m",
    "WORDCOUNT_MAX_JUMP": "10m",
}
TOPIC_SETTINGS = {"retention.ms": "-1"}
"""The times of records are weeks old."""

STEP_MS = 1000
"""Mean time between two chunks of records, which are sent every 0.1 s: windows of a minute are closed every six seconds."""

ANCIENT_MS = 5


class Times:
    """Makes the times of records: ascending, some late, a few from the future or impossible; now and then a quarter of an hour passes.

    Args:
        seed: seed of the times.
    """

    def __init__(self, seed: int) -> None:
        self._chance = Random(f"times {seed}")
        self._now_ms = int(time.time() - 40 * 86_400) * 1000

    def of_chunk(self, records: int) -> list[int]:
        """Return the times of the next records."""
        self._now_ms += self._chance.randrange(2 * STEP_MS)
        if self._chance.random() < 0.005:
            self._now_ms += 900_000
        return [self._time() for _ in range(records)]

    def _time(self) -> int:
        kind = self._chance.random()
        if kind < 0.001:
            return self._now_ms + self._chance.choice([700_000, 3_600_000, 86_400_000])
        if kind < 0.003:
            return ANCIENT_MS
        if kind < 0.15:
            return self._now_ms - self._chance.choice([1500, 4000, 8000, 70_000, 300_000])
        return self._now_ms + self._chance.randrange(STEP_MS)


class Cell(NamedTuple):
    """A word in a window; `epoch` is the offset of the first record of a jump that nothing has confirmed yet, None = confirmed."""

    size_s: int
    start_s: int
    epoch: int | None
    word: bytes


class _Ahead(NamedTuple):
    offset: int
    time_ms: int
    words: Sequence[bytes]


class WindowTruth:
    """What is true of the windows of one partition after the records that it was given.

    Attributes:
        stream_ms: stream time; None = there is none yet.
        ahead: records whose times are too far ahead, and neither confirmed nor refuted.
        late: size of a window in seconds -> records that came too late for their window.
        untimed: reason -> records in no window.
    """

    def __init__(self) -> None:
        self.stream_ms: int | None = None
        self.ahead: list[_Ahead] = []
        self.late: Counter[int] = Counter()
        self.untimed: Counter[str] = Counter()
        self._counts: dict[tuple[int, int], Counter[bytes]] = defaultdict(Counter)

    def take(self, offset: int, time_ms: int, words: Sequence[bytes]) -> None:
        """Take the next record."""
        if time_ms == ANCIENT_MS:
            self.untimed["impossible_time"] += 1
            return
        is_ahead = self.stream_ms is None or time_ms - self.stream_ms > MAX_JUMP_MS
        if self.ahead and (not is_ahead or self._high_ms() - time_ms > MAX_JUMP_MS):
            self.untimed["jump"] += len(self.ahead)
            self.ahead = []
        if len(self.ahead) >= (1 if self.stream_ms is None else SPREAD_RECORDS) and (
            self._high_ms() - self._low_ms() >= MAX_JUMP_MS or time_ms - self._high_ms() > MAX_JUMP_MS
        ):
            self._confirm()
            assert self.stream_ms is not None
            is_ahead = time_ms - self.stream_ms > MAX_JUMP_MS
        if not is_ahead:
            self._count(time_ms, words, self.stream_ms)
            self.stream_ms = max(self.stream_ms or 0, time_ms)
            return
        self.ahead.append(_Ahead(offset, time_ms, words))
        enough = 2 if self.stream_ms is None else CONFIRMING_RECORDS
        if len(self.ahead) == enough:
            self._confirm()

    def counts(self) -> dict[Cell, int]:
        """Return the counts of all windows that are not expired."""
        for size_s, start_s in list(self._counts):
            gone_ms = (start_s + size_s + GRACE_S + RETENTION_S) * 1000
            if self.stream_ms is not None and gone_ms <= self.stream_ms:
                del self._counts[size_s, start_s]
        found = {
            Cell(*window, None, word): count
            for window, counts in self._counts.items()
            for word, count in counts.items()
        }
        unconfirmed: Counter[Cell] = Counter()
        for record in self.ahead:
            for size_s in SIZES_S:
                start_s = _start_s(size_s, record.time_ms)
                unconfirmed.update(Cell(size_s, start_s, self.ahead[0].offset, word) for word in record.words)
        return found | unconfirmed

    def clock(self) -> EventClock:
        """Return the event time as a marker says it."""
        if not self.ahead:
            return EventClock(self.stream_ms)
        jump = Jump(self.ahead[0].offset, self._low_ms(), self._high_ms(), len(self.ahead))
        return EventClock(self.stream_ms, jump)

    def late_and_untimed(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return the totals of late and untimed records as a marker says them."""
        return {str(size_s): count for size_s, count in self.late.items()}, dict(self.untimed)

    def _confirm(self) -> None:
        for record in self.ahead:
            self._count(record.time_ms, record.words, None)
        self.stream_ms = self._high_ms()
        self.ahead = []

    def _count(self, time_ms: int, words: Sequence[bytes], stream_ms: int | None) -> None:
        for size_s in SIZES_S:
            start_s = _start_s(size_s, time_ms)
            if stream_ms is not None and (start_s + size_s + GRACE_S) * 1000 <= stream_ms:
                self.late[size_s] += 1
            else:
                self._counts[size_s, start_s].update(words)

    def _low_ms(self) -> int:
        return min(record.time_ms for record in self.ahead)

    def _high_ms(self) -> int:
        return max(record.time_ms for record in self.ahead)


def _start_s(size_s: int, time_ms: int) -> int:
    return time_ms // (1000 * size_s) * size_s
