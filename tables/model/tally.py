"""Tally of record batches: each distinct word with its count, and what became of every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from tables.model.event_clock import EventClock
from tables.model.records import DeadLetter, Int64Array, RecordBatch
from tables.model.slices import byte_column
from tables.model.windows import Pane, WindowState


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of records and words by what became of them. `records` always equals `counted` plus all `skipped` and `dead_lettered`.

    Attributes:
        records: records read.
        counted: records whose words were counted; a record without any word is counted too.
        words: occurrences of words, that is, the sum of all counts.
        skipped: reason -> records left out by a policy, or as repeats (`DUPLICATE`).
        dead_lettered: reason -> records sent to the dead-letter topic.
        dropped_words: reason -> words left out of counted records by an option or policy.
        untimed: reason -> records that are in no window, whatever became of them otherwise (`tables.model.windowing.LEFT_OUT`).
        late: size of a window in seconds, as text -> records that came too late for their window of that size.
    """

    records: int = 0
    counted: int = 0
    words: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    dead_lettered: Mapping[str, int] = field(default_factory=dict)
    dropped_words: Mapping[str, int] = field(default_factory=dict)
    untimed: Mapping[str, int] = field(default_factory=dict)
    late: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.records + other.records,
            self.counted + other.counted,
            self.words + other.words,
            _added(self.skipped, other.skipped),
            _added(self.dead_lettered, other.dead_lettered),
            _added(self.dropped_words, other.dropped_words),
            _added(self.untimed, other.untimed),
            _added(self.late, other.late),
        )


DUPLICATE: Final = "duplicate"
"""Reason of records that were skipped because an earlier record with the same id was counted."""


def repeated(records: int) -> Totals:
    """Return the totals of records that repeat others. No policy applies to them, and they have no place in event time."""
    return Totals(records=records, skipped={DUPLICATE: records})


@dataclass(frozen=True, slots=True)
class PaneTally:
    """The words of the records that count in one pane.

    Attributes:
        pane: the pane.
        words, counts: as in `Tally`.
    """

    pane: Pane
    words: pa.BinaryArray
    counts: Int64Array


@dataclass(frozen=True, slots=True)
class Windowed:
    """The windows of some record batches.

    Attributes:
        panes: one tally per pane with words, in the order of their keys.
        clock: event clock after the records.
        confirmed: epoch -> offset of a record, for each jump that began before the records and was confirmed by them, at that record
            or before: the rows of its panes become rows of confirmed panes.
    """

    panes: Sequence[PaneTally]
    clock: EventClock
    confirmed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """The words of some record batches, each distinct word once.

    Attributes:
        words: `pyarrow.BinaryArray` of UTF-8, strictly ascending in byte order, no nulls.
        counts: int64, occurrences of the word with the same index, all > 0.
        totals: what became of the records; `totals.words == counts.sum()` unless `only` left words out.
        dead_letters: records that could not be counted, in offset order, and copies of records that are left out of a window.
        windowed: counts by window; None = no windows are counted.
    """

    words: pa.BinaryArray
    counts: Int64Array
    totals: Totals
    dead_letters: Sequence[DeadLetter] = ()
    windowed: Windowed | None = None

    def word_list(self) -> list[bytes]:
        """Return the words as bytes."""
        return [*byte_column(self.words)]


class TallyRecords(Protocol):
    """A pure function from record batches to their tally, which does not depend on where the batches are cut."""

    def __call__(self, batches: Sequence[RecordBatch], windows: WindowState | None = None) -> Tally:
        """Return the tally of `batches`, which are in offset order.

        Args:
            batches: adjacent batches.
            windows: rules of windows, and the clock before the batches; None = no windows are counted.
        """
        ...


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> Mapping[str, int]:
    """Return the sum of both numbers for each reason."""
    if not right:
        return left
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in {**left, **right}}


def tally_of(sums: Mapping[bytes, int]) -> tuple[pa.BinaryArray, Int64Array]:
    """Return the words of `sums` in byte order, and their counts. Meant for few words, because they are sorted in Python."""
    words = sorted(sums)
    return pa.array(words, pa.binary()), np.array([sums[word] for word in words], np.int64)
