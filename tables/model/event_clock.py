"""The event clock of a partition: stream time as a function of the log alone, and records whose time jumps too far ahead. Pure.

Stream time is the largest time of the records so far. It decides which records are late and which windows are gone, so that a single
wrong time far ahead must not move it: the windows of years would be gone. But after a quiet week the next record is far ahead, too,
and right. So a record more than `max_jump_ms` ahead begins a *jump*, and the records after it decide:

* The jump is *confirmed* when 100 records in a row (2 at the beginning of a partition) are that far ahead; and by a record after 10 of
  them (1 at the beginning) if these extend over `max_jump_ms`, or if it is once more too far ahead. Stream time is then the largest
  time of the confirmed records.
* The jump is *refuted* by the first record that is not that far ahead, or is too far behind the latest time of the jump.

So wrong times that differ from each other move nothing unless ten in a row ascend, and a topic with a record a month is not stuck.

Every record is taken in turn, whatever the Kafka batches, so that a restart, a standby, a mirror of the topic and whoever counts
again decide alike. No clock of a machine is ever asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from tables.model.records import Int64Array

MISSING: Final = -1
UNREADABLE: Final = -2
"""Times of records without a time, and with a time that cannot be read."""

EARLIEST_MS: Final = 631_152_000_000
LATEST_MS: Final = 253_402_300_799_999
"""Times that can be true: from 1990 to 9999, both inclusive."""

CONFIRMING_RECORDS: Final = 100
"""Records in a row that confirm a jump. A producer with a wrong clock seldom sends as many to a partition before others do."""

SPREAD_RECORDS: Final = 10
"""Records in a row that are enough if their times extend over the longest jump, none far behind those before it. Wrong times at random
do that once in millions of times. A partition that gets a record a month does it within a year."""

FIRST_RECORDS: Final = 2
"""Records in a row that confirm the first time of a partition, where nothing can be lost yet."""

ORDINARY, UNTIMED, UNCONFIRMED, REFUTED = range(4)
"""What the clock says of a record: its time is usable; it has no usable time; its jump is neither confirmed nor refuted yet; its jump
was refuted."""

_FIRST_STRETCH: Final = 256
_LONGEST_STRETCH: Final = 1 << 20
"""Records that are looked at together while none jumps: few at first, so that many jumps cost no more than their records."""


class Jump(msgspec.Struct, frozen=True):
    """Records in a row that are too far ahead of the stream time.

    Attributes:
        epoch: source offset of the first one.
        low_ms, high_ms: their smallest and largest time.
        records: their number, >= 1.
    """

    epoch: int
    low_ms: int
    high_ms: int
    records: int


class EventClock(msgspec.Struct, frozen=True):
    """Event time of a partition at a position.

    Attributes:
        stream_ms: stream time in milliseconds since 1970; None = no time is confirmed yet.
        jump: records that are too far ahead, at the end of the log so far; None = there are none.
    """

    stream_ms: int | None = None
    jump: Jump | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """What the clock says of some records.

    Attributes:
        kinds: int8 per record: `ORDINARY`, `UNTIMED`, `UNCONFIRMED` or `REFUTED`.
        before_ms: stream time before each ordinary record; smaller than any time if there was none. 0 for other records.
        clock: the clock after the records.
        confirmed: whether the jump that the clock had before the records was confirmed.
        refuted: number of records of that jump, before the first of these records, whose jump was refuted.
    """

    kinds: npt.NDArray[np.int8]
    before_ms: Int64Array
    clock: EventClock
    confirmed: bool = False
    refuted: int = 0


NEVER_MS: Final = int(np.iinfo(np.int64).min) // 2
"""Stands for a stream time before the first time."""


def read_times(clock: EventClock, times: Int64Array, offsets: Int64Array, max_jump_ms: int) -> Timed:
    """Return what `clock` says of adjacent records.

    Args:
        clock: the clock before the records.
        times: time of each record in milliseconds since 1970, or `MISSING` or `UNREADABLE`.
        offsets: source offset of each record, ascending.
        max_jump_ms: how far the time of a record may be ahead of the stream time, inclusive, >= 1.
    """
    usable = np.flatnonzero((times >= EARLIEST_MS) & (times <= LATEST_MS))
    reading = _Reading(clock, times[usable], offsets[usable], max_jump_ms)
    reading.run()
    kinds = np.full(len(times), UNTIMED, np.int8)
    kinds[usable] = reading.kinds
    before_ms = np.zeros(len(times), np.int64)
    before_ms[usable] = reading.before_ms
    return Timed(
        kinds, before_ms, EventClock(reading.stream, reading.jump), reading.confirmed, reading.refuted
    )


class _Reading:
    """Takes records with usable times in turn; many at once while none jumps."""

    def __init__(self, clock: EventClock, times: Int64Array, offsets: Int64Array, max_jump_ms: int) -> None:
        self.kinds = np.zeros(len(times), np.int8)
        self.before_ms = np.zeros(len(times), np.int64)
        self.stream = clock.stream_ms
        self.jump = clock.jump
        self.confirmed = False
        self.refuted = 0
        self._times = times
        self._offsets = offsets
        self._max_jump_ms = max_jump_ms
        self._earlier = clock.jump.records if clock.jump is not None else 0
        """Records of the jump that come before the records that are read."""
        self._jumped: list[int] = []
        """Indices of the records of the jump among those that are read."""

    def run(self) -> None:
        at, stretch = 0, _FIRST_STRETCH
        while at < len(self._times):
            if self.jump is None and self.stream is not None:
                taken = self._take_ordinary(at, min(len(self._times), at + stretch), self.stream)
                at += taken
                stretch = min(2 * stretch, _LONGEST_STRETCH) if taken else _FIRST_STRETCH
                if taken == 0:
                    self._take(at)
                    at += 1
            else:
                self._take(at)
                at += 1
                stretch = _FIRST_STRETCH
        self.kinds[self._jumped] = UNCONFIRMED

    def _take_ordinary(self, start: int, end: int, stream_ms: int) -> int:
        """Take the records from `start` on that do not jump, at most up to `end`. Return their number."""
        times = self._times[start:end]
        reached = np.maximum.accumulate(np.concatenate([[stream_ms], times]))
        jumps = times > reached[:-1] + self._max_jump_ms
        taken = int(np.argmax(jumps)) if jumps.any() else len(times)
        self.before_ms[start : start + taken] = reached[:taken]
        self.stream = int(reached[taken])
        return taken

    def _take(self, at: int) -> None:
        """Take the record `at`, which jumps, or comes while a jump is neither confirmed nor refuted."""
        time_ms, jump, most = int(self._times[at]), self.jump, self._max_jump_ms
        if jump is not None and (time_ms < jump.high_ms - most or self._is_near(time_ms)):
            self._refute(jump)
            jump = None
        if jump is not None and self._is_spread(jump, time_ms):
            self._confirm(jump)
            jump = None
        if self._is_near(time_ms):
            assert self.stream is not None
            self.before_ms[at] = self.stream
            self.stream = max(self.stream, time_ms)
            return
        if jump is None:
            self.jump = jump = Jump(int(self._offsets[at]), time_ms, time_ms, 1)
        else:
            low, high = min(jump.low_ms, time_ms), max(jump.high_ms, time_ms)
            self.jump = jump = Jump(jump.epoch, low, high, jump.records + 1)
        self._jumped.append(at)
        needed = FIRST_RECORDS if self.stream is None else CONFIRMING_RECORDS
        if jump.records >= needed:
            self._confirm(jump)

    def _is_spread(self, jump: Jump, time_ms: int) -> bool:
        """Return whether enough records have jumped, over a time that leaves no doubt, before the record with the time `time_ms`."""
        enough = 1 if self.stream is None else SPREAD_RECORDS
        extent_ms = max(jump.high_ms - jump.low_ms, time_ms - jump.high_ms - 1)
        return jump.records >= enough and extent_ms >= self._max_jump_ms

    def _is_near(self, time_ms: int) -> bool:
        return self.stream is not None and time_ms <= self.stream + self._max_jump_ms

    def _confirm(self, jump: Jump) -> None:
        # No record of a jump is late: stream time was far behind it.
        self.before_ms[self._jumped] = NEVER_MS if self.stream is None else self.stream
        self.confirmed = self.confirmed or self._earlier > 0
        self.stream = jump.high_ms
        self._end_jump()

    def _refute(self, jump: Jump) -> None:
        self.kinds[self._jumped] = REFUTED
        self.refuted += self._earlier
        self._end_jump()

    def _end_jump(self) -> None:
        self.jump, self._earlier, self._jumped = None, 0, []
