"""Questions to the counts of this process (`Queries`), and what they are answered with.

Word order is the byte order of UTF-8 everywhere. Every answer is durable: it holds flushed rows only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from tables.model.tally import Totals
from tables.observer import PartitionState
from tables.top.top_words import TopWords

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """A value, and how fresh and complete it is.

    Attributes:
        value: the answer over the partitions in `as_of`.
        as_of: partition -> next offset to count: every record below it is in the value, none from it on.
        complete: whether every partition of the input topic is in `as_of`.
        missing_partitions: the partitions that are not, ascending; empty where `complete`, and where it
            is not known how many there are.
    """

    value: T_co
    as_of: Mapping[int, int]
    complete: bool
    missing_partitions: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class WordPage:
    """A page of words with their counts, ascending; `has_more` where words follow the last one."""

    words: Sequence[tuple[str, int]]
    has_more: bool


@dataclass(frozen=True, slots=True)
class RestoreStatus:
    """How far a restore has come.

    Attributes:
        share: of its changelog records that has been read, from 0 to 1.
        records_left: changelog records that are still to be read, at most.
        seconds_left: at the pace so far; None before anything was read.
    """

    share: float
    records_left: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """Where a partition stands.

    Attributes:
        state: see `tables.observer.PartitionState`.
        position: next offset to count, durable; None where not known yet.
        highwater: offset after the last record of the input partition; None where not known yet.
        restore: the restore under way; None where there is none, or it waits for its turn.
    """

    state: PartitionState
    position: int | None = None
    highwater: int | None = None
    restore: RestoreStatus | None = None

    @property
    def lag_records(self) -> int | None:
        """Offsets between position and highwater, >= 0; None where either is unknown."""
        if self.position is None or self.highwater is None:
            return None
        return max(0, self.highwater - self.position)


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals over all answering partitions, and the status of each partition that is known."""

    totals: Totals = field(default_factory=Totals)
    partitions: Mapping[int, PartitionStatus] = field(default_factory=dict)


class Queries(Protocol):
    """Reads of the counts. Each raises `NotReadyError` where no partition can answer yet.

    What does not only look at memory also raises `OverloadedError` where too much is asked, and `QueryTimeoutError`.
    """

    async def get(self, word: str) -> Answer[int | None]:
        """Count of `word`; None where it does not occur in the answering partitions."""
        ...

    async def list(self, prefix: str, after: str | None, limit: int) -> Answer[WordPage]:
        """At most `limit` (>= 1) words that start with `prefix`.

        Args:
            prefix: compared as it is, without normalising; empty = every word.
            after: only words that sort after this one; None = from the first.
            limit: most words in the answer.
        """
        ...

    async def top(self, k: int, *, exact: bool = False) -> Answer[TopWords]:
        """The `k` (>= 1) most frequent words: count descending, then word ascending.

        Args:
            k: how many.
            exact: whether to go through all words where less does not prove which they are. Otherwise the answer says how far off
                it may be.
        """
        ...

    async def stats(self) -> Answer[Stats]:
        """Totals and partitions, of everything that answers."""
        ...

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """The partitions of this process alone, without waiting: what metrics and readiness look at."""
        ...
