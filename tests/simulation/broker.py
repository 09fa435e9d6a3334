"""The simulated broker, which outlives every process: input, changelog with compaction, consumer group; and the true counts."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tables.model.names import MARKER_KEY
from tables.model.rows import Marker, decode_marker, encode_marker, unpack_row
from tables.model.tally import Totals
from tables.model.windows import is_pane_key
from tests.fakes.rows import pack_row
from tests.simulation.event_time import RULES, Times, WindowTruth

WORDS = [bytes([letter]) for letter in range(ord("a"), ord("z") + 1)]

OTHERS = "others"
"""The group of another deployment whose changelog has an equal name."""

_THEIRS = encode_marker(Marker(group=OTHERS, topic="theirs", profile="whitespace/1", origin=0, position=9))

Value = bytes | None
Record = tuple[bytes, bytes]
"""Key and value of a changelog record; b"" is a tombstone."""


class WrongError(AssertionError):
    """`tables` broke one of its promises.

    Args:
        promise: the broken promise; the text is equal for every breach of that promise.
        found: what was found instead.
        steps: the steps that the schedule had taken; () while they are not known.
    """

    def __init__(self, promise: str, found: str, steps: Sequence[Any] = ()) -> None:
        super().__init__(f"{promise}: {found}")
        self.promise = promise
        self.steps = steps


@dataclass(frozen=True, slots=True)
class KafkaBatch:
    """Consecutive source offsets [base, next_offset), some of them without a record. A batch never changes its bounds."""

    base: int
    next_offset: int
    values: dict[int, Value]
    times: dict[int, int]


class SourcePartition:
    """One partition of the input, and the true counts below each of its offsets.

    Args:
        start: first offset that can be read.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.batches: list[KafkaBatch] = []
        self.values: dict[int, Value] = {}
        self.windows = WindowTruth(RULES)
        self.times = Times()
        self._occurrences: dict[bytes, list[int]] = defaultdict(list)

    def append(self, values: Sequence[Value], holes: Sequence[bool], timely: Random) -> None:
        """Append one Kafka batch. An offset stays empty before value `i` if `holes[i]`, and after the last value if `holes[-1]`.

        Args:
            values: values of the records.
            holes: which offsets stay empty.
            timely: decides the times of the records.
        """
        base, kept = self.end, {}
        times: dict[int, int] = {}
        for value, hole in zip(values, holes, strict=False):
            self.end += hole
            kept[self.end] = value
            for word in words_of(value):
                self._occurrences[word].append(self.end)
            times[self.end] = self.times.next(timely)
            self.windows.add(self.end, times[self.end], words_of(value))
            self.end += 1
        self.end += holes[-1] if len(holes) > len(values) else 0
        if self.end > base:
            self.values.update(kept)
            self.batches.append(KafkaBatch(base, self.end, kept, times))

    def count(self, word: bytes, upto: int) -> int:
        """Return how often `word` occurs below offset `upto`; `word` may be the key of a word in a window."""
        if is_pane_key(word):
            return self.windows.count(word, upto)
        return bisect_left(self._occurrences.get(word, []), upto)

    def counts(self, upto: int) -> dict[bytes, int]:
        """Return all words below offset `upto` with their counts."""
        counts = {word: self.count(word, upto) for word in self._occurrences}
        return {word: count for word, count in counts.items() if count}

    def totals(self, upto: int, *, windowed: bool) -> Totals:
        """Return the totals that a correct worker has for the records below `upto`; `windowed` = it counts windows."""
        values = [value for offset, value in self.values.items() if offset < upto]
        skipped = sum(value is None for value in values)
        dead = sum(value is not None and not is_text(value) for value in values)
        return Totals(
            records=len(values),
            counted=len(values) - skipped - dead,
            words=sum(len(words_of(value)) for value in values),
            skipped={"null": skipped} if skipped else {},
            dead_lettered={"invalid_utf8": dead} if dead else {},
            untimed=self.windows.untimed(upto) if windowed else {},
            late=self.windows.late(upto) if windowed else {},
        )

    def dead_letters(self) -> set[int]:
        """Return the offsets of the records that cannot be counted."""
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


class ChangelogPartition:
    """One partition of a compacted topic.

    Args:
        topic_id: id of the changelog topic.
        inputs: by topic id, the input partition and its deleted predecessors of that name; the present partition is last.
    """

    def __init__(self, topic_id: str, inputs: dict[str, SourcePartition]) -> None:
        self.topic_id = topic_id
        self.records: list[tuple[int, bytes, bytes]] = []
        self.end = 0
        self.markers: set[bytes] = set()
        """All markers that were ever appended."""
        self.examined = 0
        """Offset up to which an owner has examined this changelog; compaction stays below it (`min.compaction.lag.ms`)."""
        self.delayed: list[list[Sequence[Record]]] = []
        """Per producer, the batches that have not arrived yet; they arrive in order or not at all."""
        self.foreign_position = 0
        """Largest position of a marker that was foreign when it was appended."""
        self._inputs = inputs

    def append(self, records: Sequence[Record], *, foreign: bool = False) -> tuple[int, int]:
        """Append a batch, and return its offsets [base, end). Raise WrongError if a row is not the true count below its `upto`.

        Args:
            records: the batch.
            foreign: whether its producer does not own the partition, or no longer awaits its acknowledgement.
        """
        base = self.end
        for key, value in records:
            if is_pane_key(key) and not value:
                self._check_tombstone(key)
            elif key != MARKER_KEY:
                count, upto = unpack_row(value)
                true = true_counts(self._inputs, key, upto)
                if count not in true and not self.is_gone(key):
                    raise WrongError(
                        "a row in the changelog is the count below its upto",
                        f"{key!r} {count} up to {upto}, true is {true}",
                    )
            else:
                self.markers.add(value)
                if foreign:
                    self.foreign_position = max(self.foreign_position, decode_marker(value).position)
            self.records.append((self.end, key, value))
            self.end += 1
        return base, self.end

    def is_gone(self, key: bytes) -> bool:
        """Return whether `key` is of a window whose rows count no longer at the position of some marker that was ever appended.

        Such a row may be removed. If the position goes back to an earlier marker, nobody is answered before it has passed all others.
        """
        if not is_pane_key(key):
            return False
        markers = map(decode_marker, self.markers)
        return any(
            self._inputs[marker.topic_id].windows.is_gone(key, marker.position)
            for marker in markers
            if marker.topic_id in self._inputs
        )

    def _check_tombstone(self, key: bytes) -> None:
        """Raise WrongError unless the row of `key` counts no longer by a marker that is in the changelog already."""
        if not self.is_gone(key):
            raise WrongError("a tombstone is of a row that counts no longer", f"{key!r} of {self.markers}")

    def intrude(self, random: Random) -> None:
        """Append a flush of another deployment, whose version does not check owners: rows of its own input between two markers."""
        for key, value in (
            (MARKER_KEY, _THEIRS),
            *((word, pack_row(random.randint(1, 9), random.randint(1, 9))) for word in WORDS[:3]),
            (MARKER_KEY, _THEIRS),
        ):
            self.records.append((self.end, key, value))
            self.end += 1

    def delayed_arrives(self, random: Random) -> None:
        """Append the next delayed batch of a former producer."""
        if self.delayed:
            batches = random.choice(self.delayed)
            self.append(batches.pop(0), foreign=True)
            if not batches:
                self.delayed = [others for others in self.delayed if others]

    def latest(self) -> dict[bytes, tuple[int, int]]:
        """Return (offset, `upto`) of the latest row of each word."""
        return {
            key: (offset, unpack_row(row)[1])
            for offset, key, row in self.records
            if key != MARKER_KEY and row
        }

    def compact(self, below: int) -> None:
        """Keep only the latest record of each key below `below`; if that is odd, no tombstone either (its retention is over)."""
        self.records = self._compacted(below)

    def _compacted(self, below: int) -> list[tuple[int, bytes, bytes]]:
        latest = {key: offset for offset, key, _ in self.records if offset < below}
        kept = [r for r in self.records if r[0] >= below or latest[r[1]] == r[0]]
        return [r for r in kept if r[0] >= below or r[2]] if below % 2 else kept

    def restored(self, *, compacted: bool = False) -> dict[bytes, int] | None:
        """Return the counts that a reader restores from changelog and input alone, by the rules of the changelog.

        None means that a marker belongs to another owner, input or changelog.

        Args:
            compacted: whether the changelog is first compacted, up to the examined offset.
        """
        topic_id, source = [*self._inputs.items()][-1]
        rows: dict[bytes, tuple[int, int]] = {}
        position = source.start
        for _, key, row in self._compacted(self.examined) if compacted else self.records:
            if key == MARKER_KEY:
                marker = decode_marker(row)
                position = marker.position
                if marker.group == OTHERS:
                    return None
                if (marker.topic_id, marker.changelog_id) != (topic_id, self.topic_id):
                    return None
            elif not is_pane_key(key):
                count, upto = unpack_row(row)
                if key not in rows or upto >= rows[key][1]:
                    rows[key] = (count, upto)
        counts = defaultdict(int, {word: count for word, (count, _) in rows.items()})
        for offset, value in source.values.items():
            for word in words_of(value):
                if offset >= max(position, rows.get(word, (0, 0))[1]):
                    counts[word] += 1
        return dict(counts)

    def missing_windows(self, *, compacted: bool = False) -> dict[bytes, int]:
        """Return the true counts of windows at the position of the last marker that the changelog alone does not lead to.

        Args:
            compacted: see `restored`.
        """
        rows: dict[bytes, tuple[int, int]] = {}
        position, windows = 0, [*self._inputs.values()][-1].windows
        for _, key, row in self._compacted(self.examined) if compacted else self.records:
            if key == MARKER_KEY:
                position = decode_marker(row).position
            elif is_pane_key(key) and row:
                count, upto = unpack_row(row)
                if key not in rows or upto >= rows[key][1]:
                    rows[key] = (count, upto)
        missing = {}
        for key, true in windows.counts(position).items():
            count, upto = rows.get(key, (0, 0))
            if windows.count(key, max(upto, position)) != count and not self.is_gone(key):
                missing[key] = true
        return missing


def true_counts(inputs: Mapping[str, SourcePartition], word: bytes, upto: int) -> set[int]:
    """Return how often `word` occurs below `upto`, in the input partition and in each of its deleted predecessors of that name."""
    return {source.count(word, upto) for source in inputs.values()}


@dataclass
class Group:
    """The consumer group as its coordinator knows it.

    Attributes:
        members: names of processes whose membership is live.
        owners: partition -> name of the member that owns it in this generation.
        committed: partition -> offset that was committed last.
    """

    members: set[str] = field(default_factory=set)
    generation: int = 0
    owners: dict[int, str] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)

    def commit(self, member: str, generation: int, offsets: Mapping[int, int]) -> bool:
        """Commit offsets, and return whether the commit is accepted.

        As in Kafka, an empty group accepts a commit without a generation from any client.
        """
        accepted = (
            member in self.members and generation == self.generation if generation > 0 else not self.members
        )
        if accepted:
            self.committed.update(offsets)
        return accepted

    def owned_by(self, member: str, partition: int) -> bool:
        """Return whether `member` is a live member and owns `partition`."""
        return member in self.members and self.owners.get(partition) == member


class Broker:
    """Both topics and the group.

    Args:
        starts: first offset of each partition of the input.
    """

    def __init__(self, starts: Sequence[int]) -> None:
        self.group = Group()
        self.intruded: set[int] = set()
        """Partitions to whose changelog another deployment has appended."""
        self.dead_letters: dict[int, set[int]] = defaultdict(set)
        self._inputs = [{"input-1": SourcePartition(start)} for start in starts]
        self.changelog = [ChangelogPartition("changelog-1", inputs) for inputs in self._inputs]

    @property
    def source(self) -> list[SourcePartition]:
        """The partitions of the input."""
        return [inputs[self.source_id] for inputs in self._inputs]

    @property
    def markers(self) -> list[set[bytes]]:
        """By partition, all markers that were ever appended to its present or a former changelog."""
        return [log.markers for log in self.changelog]

    @property
    def source_id(self) -> str:
        return f"input-{len(self._inputs[0])}"

    @property
    def changelog_id(self) -> str:
        return self.changelog[0].topic_id

    @property
    def replaced(self) -> bool:
        """Whether a topic was deleted and created again, so that partitions may stop."""
        return (self.source_id, self.changelog_id) != ("input-1", "changelog-1")

    def source_of(self, partition: int, topic_id: str) -> SourcePartition:
        """Return the partition of the present or former input topic with this id; "" = the present topic."""
        return self._inputs[partition][topic_id or self.source_id]

    def true_counts(self, partition: int, word: bytes, upto: int) -> set[int]:
        """See the function `true_counts`."""
        return true_counts(self._inputs[partition], word, upto)

    def intrude(self, partition: int, random: Random) -> None:
        """See `ChangelogPartition.intrude`."""
        self.intruded.add(partition)
        self.changelog[partition].intrude(random)

    def replace_source(self) -> None:
        """Delete the input and create it again."""
        new_id = f"input-{len(self._inputs[0]) + 1}"
        for inputs in self._inputs:
            inputs[new_id] = SourcePartition(0)

    def replace_changelog(self) -> None:
        """Delete the changelog and create it again; batches that have not arrived yet arrive in the new changelog."""
        number = int(self.changelog_id.removeprefix("changelog-")) + 1
        former = self.changelog
        self.changelog = [ChangelogPartition(f"changelog-{number}", inputs) for inputs in self._inputs]
        for new, old in zip(self.changelog, former, strict=True):
            new.delayed, new.markers = old.delayed, old.markers
