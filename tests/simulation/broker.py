"""What outlives every process: the input, the changelog with its cleaner, and the group. And the truth about the input."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tables.rows import decode_marker, unpack_row
from tables.schema import MARKER_KEY
from tables.windows import Totals

WORDS = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"]

Value = bytes | None
Record = tuple[bytes, bytes]
"""Key and value of a changelog record."""


@dataclass(frozen=True, slots=True)
class KafkaBatch:
    """Adjacent source offsets [base, next_offset), some of them without a record; never cut differently later."""

    base: int
    next_offset: int
    values: dict[int, Value]


class SourcePartition:
    """One partition of the input, and what is true about each of its prefixes.

    Args:
        start: first offset that can be read.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.batches: list[KafkaBatch] = []
        self.values: dict[int, Value] = {}
        self._occurrences: dict[bytes, list[int]] = defaultdict(list)

    def append(self, values: Sequence[Value], holes: Sequence[bool]) -> None:
        """One Kafka batch: the offset before value `i` stays empty where `holes[i]`; so does the last one with `holes[-1]`."""
        base, kept = self.end, {}
        for value, hole in zip(values, holes, strict=False):
            self.end += hole
            kept[self.end] = value
            for word in words_of(value):
                self._occurrences[word].append(self.end)
            self.end += 1
        self.end += holes[-1] if len(holes) > len(values) else 0
        if self.end > base:
            self.values.update(kept)
            self.batches.append(KafkaBatch(base, self.end, kept))

    def count(self, word: bytes, upto: int) -> int:
        """How often `word` occurs below offset `upto`."""
        return bisect_left(self._occurrences.get(word, []), upto)

    def counts(self, upto: int) -> dict[bytes, int]:
        """All words below offset `upto` with their counts."""
        counts = {word: self.count(word, upto) for word in self._occurrences}
        return {word: count for word, count in counts.items() if count}

    def totals(self, upto: int) -> Totals:
        """What has to become of the records below `upto`."""
        values = [value for offset, value in self.values.items() if offset < upto]
        skipped = sum(value is None for value in values)
        dead = sum(value is not None and not is_text(value) for value in values)
        return Totals(
            records=len(values),
            counted=len(values) - skipped - dead,
            words=sum(len(words_of(value)) for value in values),
            skipped={"null": skipped} if skipped else {},
            dead_lettered={"invalid_utf8": dead} if dead else {},
        )

    def dead_letters(self) -> set[int]:
        """Offsets of the records that cannot be counted."""
        return {o for o, value in self.values.items() if value is not None and not is_text(value)}


def is_text(value: bytes) -> bool:
    return b"\xff" not in value


def words_of(value: Value) -> list[bytes]:
    """The words of a record, by a definition of its own: the simulation's texts are ASCII."""
    return value.split() if value is not None and is_text(value) else []


class ChangelogPartition:
    """One partition of a compacted topic."""

    def __init__(self, source: SourcePartition) -> None:
        self.records: list[tuple[int, bytes, bytes]] = []
        self.end = 0
        self.examined = 0
        """Up to where an owner has examined it; the cleaner stays behind (`min.compaction.lag.ms`)."""
        self.delayed: list[list[Sequence[Record]]] = []
        """Per producer, the batches that are still on their way; they arrive in order or not at all."""
        self._source = source

    def append(self, records: Sequence[Record]) -> tuple[int, int]:
        """Append a batch; a row that does not tell the truth is refused with an AssertionError."""
        base = self.end
        for key, value in records:
            if key != MARKER_KEY:
                count, upto = unpack_row(value)
                true = self._source.count(key, upto)
                assert count == true, f"row {key!r} says {count} up to {upto}, true is {true}"
            self.records.append((self.end, key, value))
            self.end += 1
        return base, self.end

    def delayed_arrives(self, random: Random) -> None:
        """The next batch of a former producer is appended after all."""
        if self.delayed:
            batches = random.choice(self.delayed)
            self.append(batches.pop(0))
            if not batches:
                self.delayed = [others for others in self.delayed if others]

    def compact(self, below: int) -> None:
        """Keep of each key only the latest record, among the offsets below `below`."""
        latest = {key: offset for offset, key, _ in self.records if offset < below}
        self.records = [r for r in self.records if r[0] >= below or latest[r[1]] == r[0]]

    def restored(self) -> dict[bytes, int]:
        """What a reader who has nothing but the changelog and the input comes to, by the rules of the changelog."""
        rows: dict[bytes, tuple[int, int]] = {}
        position = self._source.start
        for _, key, row in self.records:
            if key == MARKER_KEY:
                position = decode_marker(row).position
            else:
                count, upto = unpack_row(row)
                if key not in rows or upto >= rows[key][1]:
                    rows[key] = (count, upto)
        counts = defaultdict(int, {word: count for word, (count, _) in rows.items()})
        for offset, value in self._source.values.items():
            for word in words_of(value):
                if offset >= max(position, rows.get(word, (0, 0))[1]):
                    counts[word] += 1
        return dict(counts)


@dataclass
class Broker:
    """Both topics, and who owns which partition in which generation of the group."""

    source: list[SourcePartition]
    changelog: list[ChangelogPartition]
    dead_letters: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    generation: int = 0
    owners: dict[int, str] = field(default_factory=dict)

    @classmethod
    def create(cls, random: Random, partitions: int) -> "Broker":
        source = [SourcePartition(random.choice([0, 0, 7])) for _ in range(partitions)]
        return cls(source, [ChangelogPartition(part) for part in source])
