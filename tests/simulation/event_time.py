"""Event time in the simulation: the times of records, and the true counts of windows, found record by record."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tables.model.event_clock import EventClock, Jump
from tables.model.windows import Pane, SizeRule, WindowRules, pane_of

BASE_MS = 1_700_000_000_000
MAX_JUMP_MS = 10_000
CONFIRMING_RECORDS = 3
SPREAD_RECORDS = 2
RULES = WindowRules((SizeRule(2, 1, 3), SizeRule(6, 0, 12)), MAX_JUMP_MS)
"""Small windows that are soon closed and gone."""

MISSING = -1
TOO_OLD_MS = 5


class Times:
    """Makes the times of the records of one partition: mostly ascending, some late, some far ahead, some impossible; quiet weeks."""

    def __init__(self) -> None:
        self._now_ms = BASE_MS

    def next(self, random: Random) -> int:
        kind = random.random()
        if kind < 0.04:
            self._now_ms += random.randint(1, 4) * MAX_JUMP_MS
        self._now_ms += random.choice([0, 100, 500, 1500])
        match kind:
            case _ if 0.05 < kind < 0.09:
                return self._now_ms + random.randint(1, 400) * MAX_JUMP_MS
            case _ if 0.10 < kind < 0.13:
                return random.choice([MISSING, TOO_OLD_MS])
            case _ if 0.15 < kind < 0.35:
                return self._now_ms - random.choice([500, 1500, 3000, 8000, 20_000])
        return self._now_ms


@dataclass(frozen=True, slots=True)
class _At:
    """What is true after a record."""

    offset: int
    clock: EventClock
    untimed: Mapping[str, int]
    late: Mapping[str, int]


class WindowTruth:
    """The true counts of the windows of one partition below each of its offsets."""

    def __init__(self, rules: WindowRules) -> None:
        self._rules = rules
        self._stream: int | None = None
        self._jump: list[tuple[int, int, Sequence[bytes]]] = []
        """(offset, time, words) of each record of the jump that is neither confirmed nor refuted."""
        self._occurrences: dict[bytes, list[int]] = defaultdict(list)
        self._untimed: Counter[str] = Counter()
        self._late: Counter[str] = Counter()
        self._after: list[_At] = []

    def add(self, offset: int, time_ms: int, words: Sequence[bytes]) -> None:
        """Take one record. All its words become true at its offset, or at that of a later record that confirms its time."""
        if time_ms < 0:
            self._untimed["missing_time"] += 1
        elif time_ms == TOO_OLD_MS:
            self._untimed["impossible_time"] += 1
        else:
            self._take(offset, time_ms, words)
        clock = EventClock(self._stream, self._pending())
        self._after.append(_At(offset, clock, dict(self._untimed), dict(self._late)))

    def _take(self, offset: int, time_ms: int, words: Sequence[bytes]) -> None:
        jumps = self._stream is None or time_ms > self._stream + MAX_JUMP_MS
        if self._jump:
            high = max(time for _, time, _ in self._jump)
            if not jumps or time_ms < high - MAX_JUMP_MS:
                self._untimed["jump"] += len(self._jump)
                self._jump = []
        if len(self._jump) >= (SPREAD_RECORDS if self._stream is not None else 1):
            low, high = min(time for _, time, _ in self._jump), max(time for _, time, _ in self._jump)
            if high - low >= MAX_JUMP_MS or time_ms > high + MAX_JUMP_MS:
                self._confirm(offset)
                assert self._stream is not None
                jumps = time_ms > self._stream + MAX_JUMP_MS
        if not jumps:
            assert self._stream is not None
            self._count(offset, time_ms, words, self._stream)
            self._stream = max(self._stream, time_ms)
            return
        self._jump.append((offset, time_ms, words))
        for rule in self._rules.sizes:
            pane = _pane(rule, time_ms)._replace(epoch=self._jump[0][0])
            for word in words:
                self._occurrences[pane.prefix + word].append(offset)
        times = [time for _, time, _ in self._jump]
        needed = 2 if self._stream is None else CONFIRMING_RECORDS
        if len(times) >= needed:
            self._confirm(offset)

    def _confirm(self, at: int) -> None:
        jump, self._jump = self._jump, []
        for _, time_ms, words in jump:
            self._count(at, time_ms, words, None)
        self._stream = max(time for _, time, _ in jump)

    def _count(self, at: int, time_ms: int, words: Sequence[bytes], stream: int | None) -> None:
        for rule in self._rules.sizes:
            pane = _pane(rule, time_ms)
            if stream is not None and (pane.end_s + rule.grace_s) * 1000 <= stream:
                self._late[str(rule.size_s)] += 1
                continue
            for word in words:
                self._occurrences[pane.prefix + word].append(at)

    def _pending(self) -> Jump | None:
        if not self._jump:
            return None
        times = [time for _, time, _ in self._jump]
        return Jump(self._jump[0][0], min(times), max(times), len(times))

    # What is true below an offset

    def count(self, key: bytes, upto: int) -> int:
        """Return how often the word of `key` occurs below `upto` in its pane."""
        return bisect_left(self._occurrences.get(key, []), upto)

    def _at(self, upto: int) -> _At:
        place = bisect_left(self._after, upto, key=lambda one: one.offset)
        return self._after[place - 1] if place else _At(-1, EventClock(), {}, {})

    def clock(self, upto: int) -> EventClock:
        return self._at(upto).clock

    def untimed(self, upto: int) -> Mapping[str, int]:
        return self._at(upto).untimed

    def late(self, upto: int) -> Mapping[str, int]:
        return self._at(upto).late

    def is_live(self, key: bytes, upto: int) -> bool:
        """Return whether the row of `key` still counts at the position `upto`."""
        pane, clock = pane_of(key)[0], self.clock(upto)
        if pane.epoch is not None:
            return clock.jump is not None and clock.jump.epoch == pane.epoch
        rule = next(rule for rule in self._rules.sizes if rule.size_s == pane.size_s)
        gone_s = pane.end_s + rule.grace_s + rule.retention_s
        return clock.stream_ms is None or clock.stream_ms < gone_s * 1000

    def is_gone(self, key: bytes, upto: int) -> bool:
        """Return whether the row of `key` counts no longer at the position `upto`, and never will again."""
        pane, clock = pane_of(key)[0], self.clock(upto)
        if pane.epoch is not None:
            return not self.is_live(key, upto) and pane.epoch < upto
        return clock.stream_ms is not None and not self.is_live(key, upto)

    def counts(self, upto: int) -> dict[bytes, int]:
        """Return the counts of all keys that count at the position `upto`."""
        counts = {key: self.count(key, upto) for key in self._occurrences}
        return {key: count for key, count in counts.items() if count and self.is_live(key, upto)}


def _pane(rule: SizeRule, time_ms: int) -> Pane:
    return Pane(rule.size_s, time_ms // 1000 // rule.size_s * rule.size_s)
