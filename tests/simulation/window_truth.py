"""The true counts of the windows of one partition, found record by record by the rules that hold where each record is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tables.model.event_clock import EventClock, Jump
from tables.model.windows import Pane, SizeRule, WindowRules, pane_of
from tests.simulation.event_time import CONFIRMING_RECORDS, SPREAD_RECORDS, TOO_OLD_MS


class TimedRecord(NamedTuple):
    """A record of the input: its offset, its time, and its words."""

    offset: int
    time_ms: int
    words: Sequence[bytes]


class Stretch(NamedTuple):
    """The rules that hold from the source offset `start` on, until the next stretch begins."""

    start: int
    rules: WindowRules


@dataclass(frozen=True, slots=True)
class Counted:
    """A size that is counted.

    Attributes:
        rule: its rule.
        since: source offset from which on it is counted without an interruption.
        timed_from: source offset from which on windows of some size are counted without an interruption.
        former: (stream time, rule) where former rules ended since: what was gone by then stays gone.
    """

    rule: SizeRule
    since: int
    timed_from: int
    former: Sequence[tuple[int | None, SizeRule]] = ()

    def is_gone(self, pane: Pane, stream_ms: int | None) -> bool:
        """Return whether `pane` is not kept any more at this stream time."""
        return any(
            ms is not None and ms >= (pane.end_s + rule.grace_s + rule.retention_s) * 1000
            for ms, rule in (*self.former, (stream_ms, self.rule))
        )


@dataclass(frozen=True, slots=True)
class _At:
    """What is true from the position `upto` on, up to that of the next one."""

    upto: int
    clock: EventClock
    untimed: Mapping[str, int]
    late: Mapping[str, int]
    sizes: Mapping[int, Counted]


class _Jumping(NamedTuple):
    """A record of the jump that is neither confirmed nor refuted, and the longest jump when the first of them came."""

    record: TimedRecord
    most_ms: int


class WindowTruth:
    """The true counts of the windows of one partition below each of its offsets.

    Args:
        records: the records of the partition in offset order; more may be appended later.
        stretches: the rules by offset; () = no windows were ever counted.
    """

    def __init__(self, records: Sequence[TimedRecord], stretches: Sequence[Stretch] = ()) -> None:
        self.stretches = tuple(stretches)
        self._records = records
        self._taken = self._begun = 0
        """Numbers of the records and of the stretches that were taken into account."""
        self._rules = WindowRules()
        self._stream: int | None = None
        self._jump: list[_Jumping] = []
        self._refuted: set[int] = set()
        """Offsets of the records of all refuted jumps."""
        self._sizes: dict[int, Counted] = {}
        self._occurrences: dict[bytes, list[int]] = defaultdict(list)
        self._untimed: Counter[str] = Counter()
        self._late: Counter[str] = Counter()
        self._counts: dict[int, Mapping[bytes, int]] = {}
        """What `counts` has returned: it does not change."""
        self._after = [_At(0, EventClock(), {}, {}, {})]

    def _catch_up(self) -> None:
        """Take the records that were appended since the last question, and begin the stretches before them."""
        while self._taken < len(self._records):
            record = self._records[self._taken]
            self._begin(record.offset)
            self._taken += 1
            if self._sizes:
                self._add(record)
        # A stretch begins at a position, where the input has ended already.
        self._begin(self.stretches[-1].start if self.stretches else 0)

    def _begin(self, upto: int) -> None:
        while self._begun < len(self.stretches) and self.stretches[self._begun].start <= upto:
            start, rules = self.stretches[self._begun]
            self._begun += 1
            timed_from = min((one.timed_from for one in self._sizes.values()), default=start)
            self._sizes = {
                rule.size_s: Counted(rule, kept.since, timed_from, (*kept.former, (self._stream, kept.rule)))
                if (kept := self._sizes.get(rule.size_s))
                else Counted(rule, start, timed_from)
                for rule in rules.sizes
            }
            self._rules = rules
            if not self._sizes:
                self._stream, self._jump = None, []
            self._note(start)

    def _note(self, upto: int) -> None:
        clock = EventClock(self._stream, self._pending())
        self._after.append(_At(upto, clock, dict(self._untimed), dict(self._late), self._sizes))

    def _add(self, record: TimedRecord) -> None:
        """Take one record. All its words become true at its offset, or at that of a later record that confirms its time."""
        if record.time_ms < 0:
            self._untimed["missing_time"] += 1
        elif record.time_ms == TOO_OLD_MS:
            self._untimed["impossible_time"] += 1
        else:
            self._take(record)
        self._note(record.offset + 1)

    def _take(self, record: TimedRecord) -> None:
        # The rules by which a jump began decide on it.
        most_ms = self._jump[0].most_ms if self._jump else self._rules.max_jump_ms
        offset, time_ms, words = record
        jumps = self._stream is None or time_ms > self._stream + most_ms
        times = [one.record.time_ms for one in self._jump]
        if self._jump and (not jumps or time_ms < max(times) - most_ms):
            self._untimed["jump"] += len(self._jump)
            self._refuted.update(one.record.offset for one in self._jump)
            self._jump, times = [], []
        if len(times) >= (SPREAD_RECORDS if self._stream is not None else 1) and (
            max(times) - min(times) >= most_ms or time_ms > max(times) + most_ms
        ):
            self._confirm(offset)
            assert self._stream is not None
            jumps = time_ms > self._stream + most_ms
        if not jumps:
            assert self._stream is not None
            self._count(offset, record, self._stream)
            self._stream = max(self._stream, time_ms)
            return
        self._jump.append(_Jumping(record, self._jump[0].most_ms if self._jump else most_ms))
        for counted in self._sizes.values():
            pane = _pane(counted.rule, time_ms)._replace(epoch=self._jump[0].record.offset)
            for word in words:
                self._occurrences[pane.prefix + word].append(offset)
        if len(self._jump) >= (2 if self._stream is None else CONFIRMING_RECORDS):
            self._confirm(offset)

    def _confirm(self, at: int) -> None:
        jump, self._jump = self._jump, []
        for one in jump:
            self._count(at, one.record, None)
        self._stream = max(one.record.time_ms for one in jump)

    def _count(self, at: int, record: TimedRecord, stream: int | None) -> None:
        for counted in self._sizes.values():
            pane = _pane(counted.rule, record.time_ms)
            if stream is not None and (pane.end_s + counted.rule.grace_s) * 1000 <= stream:
                self._late[str(pane.size_s)] += 1
            elif record.offset >= counted.since:
                for word in record.words:
                    self._occurrences[pane.prefix + word].append(at)

    def _pending(self) -> Jump | None:
        if not self._jump:
            return None
        times = [one.record.time_ms for one in self._jump]
        return Jump(self._jump[0].record.offset, min(times), max(times), len(times))

    # What is true below an offset

    def _at(self, upto: int) -> _At:
        self._catch_up()
        return self._after[bisect_right(self._after, upto, key=lambda one: one.upto) - 1]

    def count(self, key: bytes, upto: int) -> int:
        """Return how often the word of `key` occurs below `upto` in its pane, since its size is counted."""
        counted = self._at(upto).sizes.get(pane_of(key)[0].size_s)
        return 0 if counted is None else self._count_since(key, counted.since, upto)

    def _count_since(self, key: bytes, since: int, upto: int) -> int:
        offsets = self._occurrences.get(key, [])
        return bisect_left(offsets, upto) - bisect_left(offsets, since)

    def clock(self, upto: int) -> EventClock:
        return self._at(upto).clock

    def untimed(self, upto: int) -> Mapping[str, int]:
        return self._at(upto).untimed

    def late(self, upto: int) -> Mapping[str, int]:
        return self._at(upto).late

    def sizes(self, upto: int) -> Mapping[int, Counted]:
        """Return the sizes that are counted at the position `upto`, by their seconds."""
        return self._at(upto).sizes

    def since(self, key: bytes, upto: int) -> int:
        """Return the offset since which the size of `key` is counted at the position `upto`; `upto` if it is not counted."""
        counted = self.sizes(upto).get(pane_of(key)[0].size_s)
        return upto if counted is None else counted.since

    def is_gone(self, key: bytes, position: int, upto: int) -> bool:
        """Return whether a row of `key` that counts up to `upto` counts no longer at `position`, and never will again."""
        at, pane = self._at(position), pane_of(key)[0]
        if pane.size_s not in at.sizes:
            return upto <= position
        if pane.epoch is not None:
            return not _is_live(pane, at) and pane.epoch < position
        return at.clock.stream_ms is not None and not _is_live(pane, at)

    def counts(self, upto: int) -> Mapping[bytes, int]:
        """Return the counts of all keys that count at the position `upto`, below which all records are known."""
        if (known := self._counts.get(upto)) is not None:
            return known
        at, counts = self._at(upto), dict[bytes, int]()
        for key in self._occurrences:
            pane = pane_of(key)[0]
            if _is_live(pane, at) and (count := self._count_since(key, at.sizes[pane.size_s].since, upto)):
                counts[key] = count
        self._counts[upto] = counts
        return counts

    def misses(self, size_s: int, span_s: range, position: int) -> Sequence[TimedRecord]:
        """Return the records that windows in `span_s`, seconds since 1970, lack at `position`, because their size came later.

        While no windows are counted, nobody looks at times.
        """
        if (counted := self.sizes(position).get(size_s)) is None:
            return ()
        return [
            one
            for one in self._records
            if counted.timed_from <= one.offset < counted.since
            and one.time_ms // 1000 in span_s
            and one.offset not in self._refuted
        ]


def _is_live(pane: Pane, at: _At) -> bool:
    if (counted := at.sizes.get(pane.size_s)) is None:
        return False
    if pane.epoch is not None:
        return at.clock.jump is not None and at.clock.jump.epoch == pane.epoch
    return not counted.is_gone(pane, at.clock.stream_ms)


def _pane(rule: SizeRule, time_ms: int) -> Pane:
    return Pane(rule.size_s, time_ms // 1000 // rule.size_s * rule.size_s)
