"""Ports: Protocols of what partitions need from outside: changelog, tail, ownership, source, dead letters, threads, commit witness.

The product implements them in `tables.kafka.changelog`, `agents` and `app`. The simulation drives the real tables through fakes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tables.errors import InexactError
from tables.model.records import ChangelogSlice, DeadLetter, Int64Array, RecordBatch
from tables.model.rows import NO_ROWS, ChangelogRecord, RowColumns

Result = TypeVar("Result")
Packed = TypeVar("Packed")


@dataclass(frozen=True, slots=True)
class CountedRows:
    """The rows of one flush.

    Attributes:
        batches: the records of the flush.
        words: distinct words, ascending in byte order.
        added: for each word the occurrences that this flush added to its count, all > 0.
        counts: for each word its count in the partition after this flush.
    """

    batches: Sequence[RecordBatch]
    words: Sequence[bytes]
    added: Int64Array
    counts: Int64Array


class ChangelogEnds(Protocol):
    """The changelog as a follower sees it beside its records."""

    async def identity(self) -> str:
        """Return the id of the topic as it is now, see `Changelog.identity`."""

    async def end_offset(self, partition: int) -> int:
        """Return the offset after the last record of an existing partition, see `Changelog.end_offset`."""


class Changelog(Protocol[Packed]):
    """The changelog topic, with one partition per partition of the input topic. `Packed` is the type of records ready to be sent."""

    def pack(
        self,
        first: Sequence[ChangelogRecord],
        rows: RowColumns = NO_ROWS,
        last: Sequence[ChangelogRecord] = (),
    ) -> Packed:
        """Prepare records for `append`: those of `first`, then rows, then those of `last`.

        Takes 0.1 µs a record: many records are prepared in a thread.
        """

    async def append(
        self, partition: int, records: Packed, before_last: Callable[[], Awaitable[None]] | None = None
    ) -> list[tuple[int, int]]:
        """Append records and wait for the acknowledgement of every record.

        Args:
            partition: where to append.
            records: what `pack` returned.
            before_last: called once and waited for before the batch with the last record is sent; every other batch is acknowledged
                by then. None = nobody has to know. What it raises is raised.

        Returns:
            (base offset, offset after the last record) of each batch, in order. A base offset of -1 = not known.

        Raises:
            FlushUnknownError: not acknowledged in time; the records may be in the log, now or later.
        """

    async def identity(self) -> str:
        """Return the id of the topic as it is now; no other topic ever gets this id. "" = not known.

        Raises:
            BrokerUnavailableError: no broker answers.
        """

    async def end_offset(self, partition: int) -> int:
        """Return the offset after the last record. Create the partition if it is missing. Raises BrokerUnavailableError."""

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        """Yield the records from `start` (inclusive) to at least `end` (exclusive). Blocks; called in a thread.

        Raises:
            BrokerUnavailableError: no broker answers.
            InexactError: records between `start` and `end` are gone for another reason than compaction.
        """


@dataclass(frozen=True, slots=True)
class Tailed:
    """What a poll brought of one changelog partition.

    Attributes:
        slices: the records from the offset that was asked for, in order; () = no records came.
        end: offset after the last record of the partition, as the broker said last; None = the broker has not said it yet.
        told_s: time at which the broker still said so, or an earlier time, on the clock of `tables.clock`.
        error: why the partition cannot be followed from this offset; None = it can.
        latest_end: the newest end that is known, if `end` is an older one; None = `end` is the newest.
    """

    slices: Sequence[ChangelogSlice]
    end: int | None
    told_s: float
    error: InexactError | None = None
    latest_end: int | None = None


class ChangelogTail(Protocol):
    """Reads the ends of changelog partitions as they grow. `poll` and `close` block, and are called in one and the same thread."""

    def poll(self, wanted: Mapping[int, int], timeout_s: float) -> Mapping[int, Tailed]:
        """Wait for records of the partitions in `wanted`, which maps each partition to the next offset to read.

        Returns:
            What came by partition, of bounded size; at the latest after `timeout_s`, or soon after a call of `wake`.

        Raises:
            BrokerUnavailableError: no broker answers.
            ConfigurationError: this user may not read the topic.
        """

    def wake(self) -> None:
        """End the poll under way, or the next poll, without waiting for records. May be called from any thread."""

    def close(self) -> None:
        """Close the connections. A later poll opens them again."""


class Ownership(Protocol):
    """Proof that this process still owns a partition."""

    def check(self) -> None:
        """Check the membership without a request to a broker. Called before a flush or restore begins.

        Raises:
            PartitionsLostError: this process is not a member, or its last accepted heartbeat is older than the session timeout.
        """

    async def prove(self, partition: int, position: int) -> None:
        """Commit `position` to the group under a live membership.

        Raises:
            PartitionsLostError: this process does not own the partition.
            FlushUnknownError: the broker did not answer in time.
        """


class Source(Protocol):
    """The input topic."""

    async def identity(self) -> str:
        """Return the id of the input topic as it is now; "" = not known. Raises BrokerUnavailableError."""

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return (first offset that can be read, offset after the last record). Raises BrokerUnavailableError."""

    async def seek(self, partition: int, position: int) -> None:
        """Make `position` the next offset that is delivered. Raises PartitionsLostError if the partition is not assigned."""


class DeadLetters(Protocol):
    """The topic for records that cannot be counted."""

    async def send(self, partition: int, letters: Sequence[DeadLetter]) -> None:
        """Send `letters` and wait for the acknowledgement. A repeated flush sends them again.

        Raises:
            FlushUnknownError: the broker did not acknowledge in time.
        """


class RunInThread(Protocol):
    """Runs a blocking function in a thread, beside the event loop."""

    def __call__(self, function: Callable[..., Result], /, *arguments: Any) -> Awaitable[Result]: ...


class CommitWitness(Protocol):
    """Sees each flush at the moment at which readers can see its counts."""

    def __call__(self, partition: int, rows: CountedRows, commit: Callable[[], None]) -> None:
        """Call `commit` once, which makes `rows` visible to readers.

        Runs in a flush thread. A call for another partition may run at the same time in the other flush thread.
        """
