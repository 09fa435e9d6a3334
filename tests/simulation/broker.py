"""The simulated broker, which outlives every process: input, changelog with compaction, consumer group; and the true counts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tables.model.names import END_OF_WORDS, MARKER_KEY
from tables.model.record_ids import is_id_key
from tables.model.rows import Marker, decode_marker, encode_marker, unpack_row
from tables.model.windows import is_pane_key
from tests.fakes.rows import pack_row
from tests.simulation.source import SourcePartition, words_of
from tests.simulation.window_truth import WindowTruth
from tests.simulation.wrong_error import WrongError

WORDS = [bytes([letter]) for letter in range(ord("a"), ord("z") + 1)]

OTHERS = "others"
"""The group of another deployment whose changelog has an equal name."""

_THEIRS = encode_marker(Marker(group=OTHERS, topic="theirs", profile="whitespace/1", origin=0, position=9))

Record = tuple[bytes, bytes]
"""Key and value of a changelog record; b"" is a tombstone."""


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
        self._uptos: dict[bytes, int] = {}
        """The smallest `upto` of the rows of each key that were ever appended."""
        self._marked: set[tuple[WindowTruth, int]] = set()
        """What is true of the windows by each marker that was ever appended, and its position."""

    def append(self, records: Sequence[Record], *, foreign: bool = False) -> tuple[int, int]:
        """Append a batch, and return its offsets [base, end). Raise WrongError if a row is not the true count below its `upto`.

        Args:
            records: the batch.
            foreign: whether its producer does not own the partition, or no longer awaits its acknowledgement.
        """
        base = self.end
        for key, value in records:
            if key != MARKER_KEY and key >= END_OF_WORDS and not value:
                self._check_tombstone(key)
            elif key != MARKER_KEY:
                count, upto = unpack_row(value)
                self._uptos[key] = min(upto, self._uptos.get(key, upto))
                true = true_counts(self._inputs, key, upto)
                if count not in true and not self.is_gone(key, upto):
                    raise WrongError(
                        "a row in the changelog is the count below its upto",
                        f"{key!r} {count} up to {upto}, true is {true}",
                    )
            else:
                marker = decode_marker(value)
                self.markers.add(value)
                if marker.topic_id in self._inputs:
                    self._marked.add((self._inputs[marker.topic_id].windows.of(marker), marker.position))
                if foreign:
                    self.foreign_position = max(self.foreign_position, marker.position)
            self.records.append((self.end, key, value))
            self.end += 1
        return base, self.end

    def is_gone(self, key: bytes, upto: int) -> bool:
        """Return whether a row that counts up to `upto` is of a window or an id, and counts no longer by some marker ever appended.

        Such a row may be removed. If the position goes back to an earlier marker, nobody is answered before it has passed all others.
        """
        if is_id_key(key):
            return any(
                source.ids.is_gone(key, position)
                for source in self._inputs.values()
                for _, position in self._marked
            )
        return is_pane_key(key) and any(
            windows.is_gone(key, position, upto) for windows, position in self._marked
        )

    def _check_tombstone(self, key: bytes) -> None:
        """Raise WrongError unless the row of `key` counts no longer by a marker that is in the changelog already."""
        if not self.is_gone(key, self._uptos.get(key, 0)):
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

    def some_arrive(self, random: Random) -> None:
        """Append some delayed batches of former producers; the others never arrive."""
        while self.delayed and random.random() < 0.7:
            self.delayed_arrives(random)
        self.delayed = []

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
            elif key < END_OF_WORDS:
                count, upto = unpack_row(row)
                if key not in rows or upto >= rows[key][1]:
                    rows[key] = (count, upto)
        counts = defaultdict(int, {word: count for word, (count, _) in rows.items()})
        for offset, value in source.values.items():
            for word in words_of(value):
                if offset >= max(position, rows.get(word, (0, 0))[1]):
                    counts[word] += 1
        return dict(counts)

    def missing_ids(self, *, compacted: bool = False) -> set[bytes]:
        """Return the rows of ids that are needed at the position of the last marker, and not in the changelog; see `restored`."""
        source = [*self._inputs.values()][-1]
        position, keys = 0, set[bytes]()
        for _, key, row in self._compacted(self.examined) if compacted else self.records:
            if key == MARKER_KEY:
                position = decode_marker(row).position
            elif row:
                keys.add(key)
        return {key for key in source.ids.rows(position).keys() - keys if not self.is_gone(key, 0)}

    def missing_windows(self, *, compacted: bool = False) -> dict[bytes, int]:
        """Return the true counts of windows at the position of the last marker that the changelog alone does not lead to.

        Args:
            compacted: see `restored`.
        """
        rows: dict[bytes, tuple[int, int]] = {}
        source = [*self._inputs.values()][-1]
        position, windows = 0, source.windows.of(None)
        for _, key, row in self._compacted(self.examined) if compacted else self.records:
            if key == MARKER_KEY:
                marker = decode_marker(row)
                position, windows = marker.position, source.windows.of(marker)
            elif is_pane_key(key) and row:
                count, upto = unpack_row(row)
                if key not in rows or upto >= rows[key][1]:
                    rows[key] = (count, upto)
        missing = {}
        for key, true in windows.counts(position).items():
            count, upto = rows.get(key, (0, 0))
            if upto <= windows.since(key, position):
                count = 0
            if windows.count(key, max(upto, position)) != count and not self.is_gone(key, upto):
                missing[key] = true
        return missing


def true_counts(inputs: Mapping[str, SourcePartition], word: bytes, upto: int) -> set[int]:
    """Return how often `word` occurs below `upto`, in the input partition and in each of its deleted predecessors of that name."""
    if is_id_key(word):
        return {source.ids.count(word, upto) for source in inputs.values()}
    if is_pane_key(word):
        return {count for source in inputs.values() for count in source.windows.counts(word, upto)}
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

    def __init__(self, starts: Sequence[int], *, identified: bool = False) -> None:
        self.group = Group()
        self._identified = identified
        self.intruded: set[int] = set()
        """Partitions to whose changelog another deployment has appended."""
        self.dead_letters: dict[int, set[int]] = defaultdict(set)
        self._inputs = [{"input-1": SourcePartition(start, identified=identified)} for start in starts]
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
            inputs[new_id] = SourcePartition(0, identified=self._identified)

    def replace_changelog(self) -> None:
        """Delete the changelog and create it again; batches that have not arrived yet arrive in the new changelog."""
        number = int(self.changelog_id.removeprefix("changelog-")) + 1
        former = self.changelog
        self.changelog = [ChangelogPartition(f"changelog-{number}", inputs) for inputs in self._inputs]
        for new, old in zip(self.changelog, former, strict=True):
            new.delayed, new.markers = old.delayed, old.markers
            new._marked, new._uptos = old._marked, old._uptos
