"""The independent recount of windows: event clock, late records and panes of one partition, taken record by record in plain Python.

The recount shares with the worker's way of counting what a pane is, what its row is called, and which rows still count. It has no
arrays, no groups of records and no store.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tables.model.event_clock import (
    CONFIRMING_RECORDS,
    EARLIEST_MS,
    FIRST_RECORDS,
    LATEST_MS,
    MISSING,
    SPREAD_RECORDS,
    UNREADABLE,
    EventClock,
    Jump,
)
from tables.model.windows import CountedSize, Pane, WindowState

MOST_COUNTS: Final = 1_000_000
"""Most counts, each of a word in a window, that are held at a time. A recount needs about 200 bytes each, and so do rows."""


class TooManyCountsError(Exception):
    """There are more than `MOST_COUNTS` counts; fewer have to be chosen."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of `of` parts of all counts, so that more counts can be compared than can be held."""

    number: int = 0
    of: int = 1

    def has(self, pane: Pane, word: bytes) -> bool:
        """Return whether the count of `word` in `pane` is in this part; whether the pane is confirmed makes no difference."""
        return (
            self.of == 1
            or zlib.crc32(b"%d %d %b" % (pane.size_s, pane.start_s, word)) % self.of == self.number
        )

    def halves(self) -> tuple[Part, Part]:
        """Return two parts that are this one together."""
        return Part(self.number, 2 * self.of), Part(self.number + self.of, 2 * self.of)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The counts that are compared.

    Attributes:
        state: windows of the marker. Only its live panes are compared, and none of them that former rules counted in part.
        part: compare only the counts of this part.
    """

    state: WindowState
    part: Part = Part()

    def has_pane(self, pane: Pane) -> bool:
        """Return whether counts of a pane, confirmed or not, are compared."""
        return self.state.is_kept(pane) and not self.is_left_out(pane)

    def is_left_out(self, pane: Pane) -> bool:
        """Return whether records before `ruled_from`, which former rules judged, may be in a pane."""
        state, size = self.state, self.state.size(pane.size_s)
        if size is None or size.since >= state.ruled_from:
            return False
        start_ms, end_ms, former = pane.start_s * 1000, pane.end_s * 1000, state.ruled_clock
        before = former.stream_ms is not None and start_ms <= former.stream_ms
        jumped = former.jump is not None and start_ms <= former.jump.high_ms and end_ms > former.jump.low_ms
        return before or jumped


class WindowRecount:
    """Windows as they are after the records that `take` was given.

    Args:
        state: windows of a marker. The recount begins where its rules begin to hold, at the offset `state.ruled_from`.
        chosen: the counts that are kept.

    Attributes:
        stream_ms: stream time in milliseconds since 1970; None = no time is confirmed yet.
        jump: the jump that is neither confirmed nor refuted; None = there is none.
        late: size in seconds, as text -> number of records that came too late for their pane.
        untimed: reason -> number of records that are in no pane.
    """

    def __init__(self, state: WindowState, chosen: Chosen) -> None:
        self.stream_ms = state.ruled_clock.stream_ms
        self.jump: Jump | None = state.ruled_clock.jump
        self.late: Counter[str] = Counter()
        self.untimed: Counter[str] = Counter()
        self._sizes = state.sizes
        self._max_jump_ms = state.max_jump_ms
        self._chosen = chosen
        self._panes: dict[Pane, dict[str, int]] = {}
        self._of_jump: dict[Pane, dict[str, int]] = {}
        """Counts of the records of the jump, by their confirmed panes."""
        self._held = 0

    @property
    def clock(self) -> EventClock:
        """Event time after the records."""
        return EventClock(self.stream_ms, self.jump)

    def take(self, offset: int, time_ms: int, words: Mapping[str, int]) -> None:
        """Take the next record.

        Args:
            offset: offset of the record.
            time_ms: its time in milliseconds since 1970, `MISSING` or `UNREADABLE`.
            words: its words with their numbers; empty for a record that is not counted, whose time counts nevertheless.

        Raises:
            TooManyCountsError: too many counts were chosen.
        """
        if reason := _unusable(time_ms):
            self.untimed[reason] += 1
            return
        most_ms = self._max_jump_ms
        if self.jump is not None and (self._is_ordinary(time_ms) or time_ms < self.jump.high_ms - most_ms):
            self.untimed["jump"] += self.jump.records
            self._end_jump()
        if self.jump is not None and self._is_spread(self.jump, time_ms):
            self._confirm(self.jump)
        if self._is_ordinary(time_ms):
            self._count_ordinary(time_ms, words)
            return
        jump = self.jump
        self.jump = jump = Jump(
            offset if jump is None else jump.epoch,
            time_ms if jump is None else min(jump.low_ms, time_ms),
            time_ms if jump is None else max(jump.high_ms, time_ms),
            1 if jump is None else jump.records + 1,
        )
        for size in self._sizes:
            self._add(self._of_jump, _pane(size, time_ms), words)
        enough = FIRST_RECORDS if self.stream_ms is None else CONFIRMING_RECORDS
        if jump.records >= enough:
            self._confirm(jump)

    def counts(self) -> dict[Pane, dict[str, int]]:
        """Return the counts by pane, those of the jump by unconfirmed panes."""
        if self.jump is None:
            return self._panes
        epoch = self.jump.epoch
        return self._panes | {pane._replace(epoch=epoch): counts for pane, counts in self._of_jump.items()}

    def count(self, pane: Pane, word: str) -> int:
        """Return the count of `word` in `pane`; 0 = it does not occur there."""
        if pane.epoch is None:
            return self._panes.get(pane, {}).get(word, 0)
        if self.jump is None or self.jump.epoch != pane.epoch:
            return 0
        return self._of_jump.get(pane.confirmed, {}).get(word, 0)

    def _is_ordinary(self, time_ms: int) -> bool:
        return self.stream_ms is not None and time_ms <= self.stream_ms + self._max_jump_ms

    def _is_spread(self, jump: Jump, time_ms: int) -> bool:
        """Return whether the times of enough records of a jump, and of the next record, extend over the longest jump."""
        enough = jump.records >= (1 if self.stream_ms is None else SPREAD_RECORDS)
        is_long = jump.high_ms - jump.low_ms >= self._max_jump_ms
        return enough and (is_long or time_ms > jump.high_ms + self._max_jump_ms)

    def _count_ordinary(self, time_ms: int, words: Mapping[str, int]) -> None:
        assert self.stream_ms is not None
        for size in self._sizes:
            pane = _pane(size, time_ms)
            if (pane.end_s + size.rule.grace_s) * 1000 <= self.stream_ms:
                self.late[str(pane.size_s)] += 1
            else:
                self._add(self._panes, pane, words)
        self.stream_ms = max(self.stream_ms, time_ms)

    def _confirm(self, jump: Jump) -> None:
        self.stream_ms = jump.high_ms
        for pane, counts in self._of_jump.items():
            sums = self._panes.setdefault(pane, {})
            for word, count in counts.items():
                sums[word] = sums.get(word, 0) + count
        self._held = sum(map(len, self._panes.values()))
        self._of_jump = {}
        self.jump = None

    def _end_jump(self) -> None:
        self._held -= sum(map(len, self._of_jump.values()))
        self._of_jump = {}
        self.jump = None

    def _add(self, panes: dict[Pane, dict[str, int]], pane: Pane, words: Mapping[str, int]) -> None:
        if not self._chosen.has_pane(pane):
            return
        for word, count in words.items():
            if self._chosen.part.has(pane, word.encode()):
                counts = panes.setdefault(pane, {})
                self._held += word not in counts
                counts[word] = counts.get(word, 0) + count
        if self._held > MOST_COUNTS:
            raise TooManyCountsError


def _pane(size: CountedSize, time_ms: int) -> Pane:
    size_s = size.rule.size_s
    return Pane(size_s, time_ms // 1000 // size_s * size_s)


def _unusable(time_ms: int) -> str:
    """Return why a record with this time is in no pane whatever the other records are; "" = it may be in one."""
    if time_ms == MISSING:
        return "missing_time"
    if time_ms == UNREADABLE:
        return "unreadable_time"
    return "" if EARLIEST_MS <= time_ms <= LATEST_MS else "impossible_time"
