"""Tally of record batches: each distinct word with its count, and what became of every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.model.records import DeadLetter, Int64Array, RecordBatch
from tables.model.slices import SLICE_ROWS


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of records and words by what became of them. `records` always equals `counted` plus all `skipped` and `dead_lettered`.

    Attributes:
        records: records read.
        counted: records whose words were counted; a record without any word is counted too.
        words: occurrences of words, that is, the sum of all counts.
        skipped: reason -> records left out by a policy.
        dead_lettered: reason -> records sent to the dead-letter topic.
        dropped_words: reason -> words left out of counted records by an option or policy.
    """

    records: int = 0
    counted: int = 0
    words: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    dead_lettered: Mapping[str, int] = field(default_factory=dict)
    dropped_words: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.records + other.records,
            self.counted + other.counted,
            self.words + other.words,
            _added(self.skipped, other.skipped),
            _added(self.dead_lettered, other.dead_lettered),
            _added(self.dropped_words, other.dropped_words),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """The words of some record batches, each distinct word once.

    Attributes:
        words: `pyarrow.BinaryArray` of UTF-8, strictly ascending in byte order, no nulls.
        counts: int64, occurrences of the word with the same index, all > 0.
        totals: what became of the records; `totals.words == counts.sum()` unless `only` left words out.
        dead_letters: records that could not be counted, in offset order.
    """

    words: pa.BinaryArray
    counts: Int64Array
    totals: Totals
    dead_letters: Sequence[DeadLetter] = ()

    def word_list(self) -> list[bytes]:
        """Return the words as bytes. They are converted in slices, so that other threads can take the GIL between two slices."""
        converted: list[bytes] = []
        for start in range(0, len(self.words), SLICE_ROWS):
            converted += self.words.slice(start, SLICE_ROWS).to_numpy(zero_copy_only=False).tolist()
        return converted

    def only(self, keep: npt.NDArray[np.bool_]) -> Tally:
        """Return a tally with only the words where `keep` is true. Totals and dead letters remain those of all records."""
        if keep.all():
            return self
        return Tally(self.words.filter(pa.array(keep)), self.counts[keep], self.totals, self.dead_letters)


class TallyRecords(Protocol):
    """A pure function from record batches to their tally, which does not depend on where the batches are cut."""

    def __call__(self, batches: Sequence[RecordBatch]) -> Tally:
        """Return the tally of `batches`, which are in offset order."""
        ...


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> Mapping[str, int]:
    """Return the sum of both numbers for each reason."""
    if not right:
        return left
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in {**left, **right}}


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """Return one tally of the records of all `tallies`. Meant for few and small tallies, because the sums are made in Python."""
    sums: dict[bytes, int] = {}
    totals = Totals()
    dead_letters: list[DeadLetter] = []
    for tally in tallies:
        for word, count in zip(tally.words.to_pylist(), tally.counts.tolist(), strict=True):
            sums[word] = sums.get(word, 0) + count
        totals += tally.totals
        dead_letters += tally.dead_letters
    words = sorted(sums)
    return Tally(
        pa.array(words, pa.binary()), np.array([sums[word] for word in words], np.int64), totals, dead_letters
    )
