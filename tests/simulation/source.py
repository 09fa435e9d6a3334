"""One partition of the simulated input: its records in Kafka batches, and what is true below each of its offsets."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tables.model.tally import Totals
from tests.simulation.event_time import Times
from tests.simulation.histories import Histories
from tests.simulation.ids import IdTruth, random_id
from tests.simulation.window_truth import WindowTruth

Value = bytes | None


@dataclass(frozen=True, slots=True)
class KafkaBatch:
    """Consecutive source offsets [base, next_offset), some of them without a record. A batch never changes its bounds."""

    base: int
    next_offset: int
    values: dict[int, Value]
    times: dict[int, int]
    ids: dict[int, bytes | None]


class SourcePartition:
    """One partition of the input, and the true counts below each of its offsets.

    Args:
        start: first offset that can be read.
        identified: whether some records have ids.

    Attributes:
        values: the records that count, by offset.
        repeats: offsets of the records that repeat others.
    """

    def __init__(self, start: int, *, identified: bool = False) -> None:
        self.start = start
        self.end = start
        self.batches: list[KafkaBatch] = []
        self.values: dict[int, Value] = {}
        self.repeats: list[int] = []
        self.ids = IdTruth()
        self.windows = Histories()
        self.times = Times()
        self._identified = identified
        self._occurrences: dict[bytes, list[int]] = defaultdict(list)

    def append(self, values: Sequence[Value], holes: Sequence[bool], timely: Random) -> None:
        """Append one Kafka batch. An offset stays empty before value `i` if `holes[i]`, and after the last value if `holes[-1]`.

        Args:
            values: values of the records.
            holes: which offsets stay empty.
            timely: decides the times of the records; and their ids, without using it up.
        """
        base, kept = self.end, dict[int, Value]()
        times: dict[int, int] = {}
        ids: dict[int, bytes | None] = {}
        # Not the whole state: it has a None, whose hash differs from process to process.
        identifying = Random(hash(timely.getstate()[1])) if self._identified else None
        for value, hole in zip(values, holes, strict=False):
            self.end += hole
            kept[self.end] = value
            times[self.end] = self.times.next(timely)
            ids[self.end] = None if identifying is None else random_id(identifying)
            if self.ids.add(self.end, ids[self.end]):
                self._count(value, times[self.end])
            else:
                self.repeats.append(self.end)
            self.end += 1
        self.end += holes[-1] if len(holes) > len(values) else 0
        if self.end > base:
            self.batches.append(KafkaBatch(base, self.end, kept, times, ids))

    def _count(self, value: Value, time_ms: int) -> None:
        self.values[self.end] = value
        for word in words_of(value):
            self._occurrences[word].append(self.end)
        self.windows.add(self.end, time_ms, words_of(value))

    def count(self, word: bytes, upto: int) -> int:
        """Return how often `word` occurs below offset `upto`."""
        return bisect_left(self._occurrences.get(word, []), upto)

    def counts(self, upto: int) -> dict[bytes, int]:
        """Return all words below offset `upto` with their counts."""
        counts = {word: self.count(word, upto) for word in self._occurrences}
        return {word: count for word, count in counts.items() if count}

    def totals(self, upto: int, windows: WindowTruth) -> Totals:
        """Return the totals that a correct worker has for the records below `upto`; `windows` is what is true of its windows."""
        values = [value for offset, value in self.values.items() if offset < upto]
        nulls = sum(value is None for value in values)
        skipped = {"null": nulls, "duplicate": bisect_left(self.repeats, upto)}
        dead = sum(value is not None and not is_text(value) for value in values)
        return Totals(
            records=len(values) + skipped["duplicate"],
            counted=len(values) - nulls - dead,
            words=sum(len(words_of(value)) for value in values),
            skipped={reason: count for reason, count in skipped.items() if count},
            dead_lettered={"invalid_utf8": dead} if dead else {},
            untimed=windows.untimed(upto),
            late=windows.late(upto),
        )

    def dead_letters(self) -> set[int]:
        """Return the offsets of the records that cannot be counted, without repeats."""
        return {o for o, value in self.values.items() if value is not None and not is_text(value)}


def is_text(value: bytes) -> bool:
    return b"\xff" not in value


def words_of(value: Value) -> list[bytes]:
    """Return the words of a record, independently of the product's tokeniser; the texts of the simulation are ASCII."""
    return value.split() if value is not None and is_text(value) else []


def random_values(random: Random, words: Sequence[bytes], wordless: float) -> list[Value]:
    """Return the values of at most three records; `wordless` is the probability that a record is made without words."""
    values: list[Value] = []
    for _ in range(random.randint(0, 3)):
        kind = random.random()
        count = 0 if random.random() < wordless else random.randint(0, 3)
        chosen = random.choices(words, k=count)
        values.append(None if kind < 0.06 else b"\xff" if kind < 0.12 else b" ".join(chosen))
    return values
