"""The interface for reading counts (`Queries`), what an asker demands (`Terms`), and the values that are returned.

Words are always ordered by the bytes of their UTF-8. Every answer is durable: it is made from flushed rows only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from tables.errors import WordcountError
from tables.model.tally import Totals
from tables.model.windows import WindowState
from tables.observer import PartitionState
from tables.top.top_words import TopWords

T_co = TypeVar("T_co", covariant=True)

Role = Literal["active", "standby", "view"]
"""Who answered for a partition: the worker that counts the partition, a standby in a worker, or a view."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an asker demands of an answer.

    Attributes:
        allow_partial: whether an answer may leave partitions out, which it then does not wait for; otherwise such an answer is an
            `IncompleteError`.
        max_lag_records: a follower may answer although the owner has counted more, if the follower is at most this many records of the
            input partition behind the partition's end. None = the answer has to be the newest, except in a view, which then answers as
            of the last marker that it has read.
        after: partition -> offset of a record that the answer has to cover (read your writes).
        wait_s: longest time to wait until the records in `after` are counted, in seconds.
        is_patient: whether nobody waits for the answer, which is asked for again and again: then counting need not pause for it.
    """

    allow_partial: bool = False
    max_lag_records: int | None = None
    after: Mapping[int, int] = field(default_factory=dict)
    wait_s: float = 0.0
    is_patient: bool = False


WHOLE = Terms()
"""The terms of an asker who demands nothing special: the newest counts of all partitions."""

PATIENT = Terms(is_patient=True)
"""`WHOLE`, of an asker who asks again and again."""


class IncompleteError(WordcountError):
    """An answer would leave partitions out, and the asker did not allow that.

    Args:
        reasons: missing partition -> why nobody answered for the partition.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        self.reasons = dict(sorted(reasons.items()))
        first = next(iter(self.reasons))
        more = f" and {len(self.reasons) - 1} more" if len(self.reasons) > 1 else ""
        super().__init__(
            f"no answer for partition {first} ({self.reasons[first]}){more}",
            "ask again, or allow an answer without these partitions by allow_partial=true",
        )


class NotCountedYetError(WordcountError):
    """Records that the answer has to cover were not counted within the time that the asker would wait.

    Args:
        after: partition -> offset of a record that was awaited.
        as_of: partition -> next offset to count, of the partitions in `after` that answered.
    """

    def __init__(self, after: Mapping[int, int], as_of: Mapping[int, int]) -> None:
        self.as_of = dict(sorted(as_of.items()))
        late = {number: offset for number, offset in sorted(after.items()) if as_of.get(number, 0) <= offset}
        number, offset = next(iter(late.items()))
        told = as_of.get(number)
        reached = "does not answer" if told is None else f"is counted up to offset {told}, exclusive"
        more = f", and {len(late) - 1} more partitions wait" if len(late) > 1 else ""
        super().__init__(
            f"offset {offset} of partition {number} is not counted yet: the partition {reached}{more}",
            "ask again, or allow more time by wait_ms",
        )


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a follower is behind the changelog of its partition.

    Attributes:
        records: changelog records that the follower has not read yet, at most.
        seconds: time since the follower had read everything; 0 = it has read everything.
    """

    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """A value, and how fresh and complete it is.

    Attributes:
        value: the answer over the partitions in `as_of`.
        as_of: partition -> next offset to count: the value covers every record below that offset, and no record from that offset on.
        complete: whether every partition of the input topic is in `as_of`.
        missing_partitions: partition that is not in `as_of` -> why nobody answered for the partition; empty if `complete`, and while
            the number of partitions is not known.
        served_by: partition -> who answered, for each partition in `as_of`.
        behind: partition -> how far the follower was behind that answered for the partition; only partitions that a follower answered.
    """

    value: T_co
    as_of: Mapping[int, int]
    complete: bool
    missing_partitions: Mapping[int, str] = field(default_factory=dict)
    served_by: Mapping[int, Role] = field(default_factory=dict)
    behind: Mapping[int, Behind] = field(default_factory=dict)


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


FollowerState = Literal["following", "restoring", "stopped"]
"""State of a follower: up to date, reading the changelog for the first time, or stopped because something is wrong."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """State and position of a partition.

    Attributes:
        state: see `tables.observer.PartitionState`; of a partition that a follower answers, see `FollowerState`.
        position: next offset to count, durable; None while it is not known.
        highwater: offset after the last record of the input partition; None while it is not known. No follower knows it.
        restore: the restore under way; None if there is none, or if the restore still waits for its turn.
        error: why the partition has stopped; "" = it has not stopped.
    """

    state: PartitionState | FollowerState
    position: int | None = None
    highwater: int | None = None
    restore: RestoreStatus | None = None
    error: str = ""

    @property
    def lag_records(self) -> int | None:
        """`highwater` minus `position`, at least 0; None if either is unknown."""
        if self.position is None or self.highwater is None:
            return None
        return max(0, self.highwater - self.position)


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """State of a partition that a worker follows.

    Attributes:
        state: see `FollowerState`.
        position: next source offset to count, as of the last marker; None before the first.
        behind: how far the follower is behind the changelog.
        restored: share of the changelog that has been read, from 0 to 1.
        error: why the follower has stopped; "" = the follower has not stopped.
    """

    state: FollowerState
    position: int | None
    behind: Behind
    restored: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class WorkerAssignment:
    """A worker of the group and its partitions.

    Attributes:
        url: where the worker is asked; "" = not known.
        is_here: whether this is the process that answers.
        problem: why the worker did not say what it does with its partitions; "" = the worker said so.
        version: version of Wordcount; "" = not known.
        active: partition that the worker owns -> its status; None = not known.
        standby: partition that the worker follows -> its status; None = not known.
    """

    url: str
    is_here: bool
    problem: str
    version: str
    active: Mapping[int, PartitionStatus | None]
    standby: Mapping[int, FollowerStatus | None]


@dataclass(frozen=True, slots=True)
class Assignments:
    """Which worker has which partition.

    Attributes:
        generation: generation of the group; None = this process knows no map of the group.
        partitions: number of partitions of the input topic; None = not known.
        workers: the workers of the group.
    """

    generation: int | None
    partitions: int | None
    workers: Sequence[WorkerAssignment]


@dataclass(frozen=True, slots=True)
class PartWindows:
    """What a partition knows of windows.

    Attributes:
        windows: its windows; None = it counts none.
        records: records that were read.
        untimed, late: see `tables.model.tally.Totals`.
    """

    windows: WindowState | None
    records: int
    untimed: Mapping[str, int]
    late: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals over the partitions that can answer, and the status and the windows of each, as who answered for the partition says."""

    totals: Totals = field(default_factory=Totals)
    partitions: Mapping[int, PartitionStatus] = field(default_factory=dict)
    windows: Mapping[int, PartWindows] = field(default_factory=dict)


class Queries(Protocol):
    """Reads counts.

    Every `async` method raises `NotReadyError` while the partitions are not known, and `IncompleteError` or `NotCountedYetError` if
    `terms` cannot be kept. A method that may read a disk, ask another worker or wait for its turn also raises `OverloadedError` when
    too many questions wait, and `QueryTimeoutError` when the answer takes too long.
    """

    async def get(self, word: str, terms: Terms = WHOLE) -> Answer[int | None]:
        """Return the count of `word`; None if `word` does not occur in the partitions that can answer."""
        ...

    async def counts_of(self, words: Sequence[str], terms: Terms = WHOLE) -> Answer[Sequence[int]]:
        """Return the count of each of `words`, all as of the same positions; 0 = the word does not occur."""
        ...

    async def list(
        self, prefix: str, after: str | None, limit: int, terms: Terms = WHOLE
    ) -> Answer[WordPage]:
        """Return words that start with `prefix`, ascending.

        Args:
            prefix: text that is compared without normalising; "" = every word.
            after: a word; only words that sort after this word are returned. None = from the first word on.
            limit: most words in the answer, >= 1.
            terms: what the asker demands.
        """
        ...

    async def top(self, k: int, *, exact: bool = False, terms: Terms = WHOLE) -> Answer[TopWords]:
        """Return the most frequent words: count descending, then word ascending.

        Args:
            k: most words in the answer, >= 1.
            exact: whether to go through all words if nothing less proves which words are the most frequent. If False, the answer says
                how wrong the choice of words may be (`TopWords.max_error`).
            terms: what the asker demands.
        """
        ...

    async def stats(self, terms: Terms = WHOLE) -> Answer[Stats]:
        """Return totals of the partitions that can answer, and the status of each of them."""
        ...

    async def assignments(self) -> Assignments:
        """Return which worker has which partition, as far as the workers say so in time. Raise nothing."""
        ...

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """Return the status of each partition of this process, without waiting, also while no partition can answer."""
        ...
