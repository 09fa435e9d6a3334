"""What the state needs from outside, as Protocols: the changelog, ownership, the source, dead letters, threads, a witness of commits.

The simulation drives the real tables through fakes of these; the product through `tables.kafka.changelog` and `agents`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tables.model.records import ChangelogSlice, DeadLetter, Int64Array, RecordBatch

Result = TypeVar("Result")
Packed = TypeVar("Packed")


@dataclass(frozen=True, slots=True)
class CountedRows:
    """The rows of one flush.

    Attributes:
        batches: the records that it counted.
        words: distinct words, ascending.
        added: how often each occurred in what this flush added to its count, all > 0.
        counts: the count of each in its partition, after this flush.
    """

    batches: Sequence[RecordBatch]
    words: Sequence[bytes]
    added: Int64Array
    counts: Int64Array


class Changelog(Protocol[Packed]):
    """One partition of the changelog topic per partition of the input. `Packed` is what it makes of records before it sends them."""

    def pack(self, keys: Sequence[bytes], values: Sequence[bytes]) -> Packed:
        """Prepare records in order. Takes 0.1 µs a record: many are prepared in a thread."""

    async def append(self, partition: int, records: Packed) -> list[tuple[int, int]]:
        """Append and wait for the acknowledgement of every record.

        Returns:
            (base offset, offset after the last record) of each batch, in order. A base of -1 = not known.

        Raises:
            FlushUnknownError: not acknowledged in time; the records may be in the log, now or later.
        """

    async def identity(self) -> str:
        """Id of the topic as it is now, which no other topic ever has; "" = not known. Raises BrokerUnavailableError."""

    async def end_offset(self, partition: int) -> int:
        """Offset after the last record; a partition that is missing is created. Raises BrokerUnavailableError."""

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        """Records from `start` (inclusive) to at least `end` (exclusive). Blocks; called in a thread.

        Raises:
            BrokerUnavailableError: no answer.
            InexactError: records between `start` and `end` are gone for another reason than compaction.
        """


class Ownership(Protocol):
    """Proof that this process still owns a partition."""

    def check(self) -> None:
        """Look whether owning anything is still possible, without asking anybody; called before a flush begins.

        Raises:
            PartitionsLostError: not a member, or the last accepted heartbeat is older than the session timeout.
        """

    async def prove(self, partition: int, position: int) -> None:
        """Commit `position` to the group under a live membership.

        Raises:
            PartitionsLostError: it does not own the partition.
            FlushUnknownError: no answer in time.
        """


class Source(Protocol):
    """The input topic."""

    async def identity(self) -> str:
        """As `Changelog.identity`."""

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset that can be read, offset after the last record). Raises BrokerUnavailableError."""

    async def seek(self, partition: int, position: int) -> None:
        """Make `position` the next offset that is delivered. Raises PartitionsLostError."""


class DeadLetters(Protocol):
    """Where records go that cannot be counted."""

    async def send(self, partition: int, letters: Sequence[DeadLetter]) -> None:
        """Send and wait for the acknowledgement; a repeated flush sends again. Raises FlushUnknownError."""


class RunInThread(Protocol):
    """Run a function beside the event loop."""

    def __call__(self, function: Callable[..., Result], /, *arguments: Any) -> Awaitable[Result]: ...


class CommitWitness(Protocol):
    """Sees each flush at the moment at which it becomes visible."""

    def __call__(self, partition: int, rows: CountedRows, commit: Callable[[], None]) -> None:
        """Call `commit` once, which makes `rows` visible. In a flush thread, that of another partition perhaps at the same time."""
