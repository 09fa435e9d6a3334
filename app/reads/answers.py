"""The interface for reading counts of this process (`Queries`), and the values that it returns.

Words are always ordered by the bytes of their UTF-8. Every answer is durable: it is made from flushed rows only.
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
        as_of: partition -> next offset to count: the value covers every record below that offset, and no record from that offset on.
        complete: whether every partition of the input topic is in `as_of`.
        missing_partitions: the partitions that are not in `as_of`, ascending; empty if `complete`, and while the number of partitions
            is not known.
    """

    value: T_co
    as_of: Mapping[int, int]
    complete: bool
    missing_partitions: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class WordPage:
    """A page of words with their counts, words ascending; `has_more` = further words follow the last word of the page."""

    words: Sequence[tuple[str, int]]
    has_more: bool


@dataclass(frozen=True, slots=True)
class RestoreStatus:
    """How far a restore has come.

    Attributes:
        share: share of its changelog records that has been read, from 0 to 1.
        records_left: upper bound of the changelog records that are still to be read.
        seconds_left: estimated duration of the rest at the pace so far; None before anything was read.
    """

    share: float
    records_left: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """State and position of a partition.

    Attributes:
        state: see `tables.observer.PartitionState`.
        position: next offset to count, durable; None while it is not known.
        highwater: offset after the last record of the input partition; None while it is not known.
        restore: the restore under way; None if there is none, or if the restore still waits for its turn.
    """

    state: PartitionState
    position: int | None = None
    highwater: int | None = None
    restore: RestoreStatus | None = None

    @property
    def lag_records(self) -> int | None:
        """`highwater` minus `position`, at least 0; None if either is unknown."""
        if self.position is None or self.highwater is None:
            return None
        return max(0, self.highwater - self.position)


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals over the partitions that can answer, and the status of each known partition."""

    totals: Totals = field(default_factory=Totals)
    partitions: Mapping[int, PartitionStatus] = field(default_factory=dict)


class Queries(Protocol):
    """Reads counts.

    Every `async` method raises `NotReadyError` while no partition can answer. A method that may read a disk or wait for its turn also
    raises `OverloadedError` when too many questions wait, and `QueryTimeoutError` when the answer takes too long.
    """

    async def get(self, word: str) -> Answer[int | None]:
        """Return the count of `word`; None if `word` does not occur in the partitions that can answer."""
        ...

    async def list(self, prefix: str, after: str | None, limit: int) -> Answer[WordPage]:
        """Return words that start with `prefix`, ascending.

        Args:
            prefix: text that is compared without normalising; "" = every word.
            after: a word; only words that sort after this word are returned. None = from the first word on.
            limit: most words in the answer, >= 1.
        """
        ...

    async def top(self, k: int, *, exact: bool = False) -> Answer[TopWords]:
        """Return the most frequent words: count descending, then word ascending.

        Args:
            k: most words in the answer, >= 1.
            exact: whether to go through all words if nothing less proves which words are the most frequent. If False, the answer says
                how wrong the choice of words may be (`TopWords.max_error`).
        """
        ...

    async def stats(self) -> Answer[Stats]:
        """Return totals of the partitions that can answer, and the status of each known partition."""
        ...

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """Return the status of each partition of this process, without waiting, also while no partition can answer."""
        ...
