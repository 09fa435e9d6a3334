"""Words that were counted once per group of records, added up per window and in all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from agents.text.tokenizer import CountedWords
from tables.model.records import Int64Array, RecordBatch
from tables.model.tally import PaneTally
from tables.model.windowing import Group, Grouped, group_records
from tables.model.windows import Pane, WindowState
from tables.model.word_order import byte_order

WordsInOrder = tuple[pa.BinaryArray, Int64Array]
"""Distinct words in byte order, and their counts."""


@dataclass(frozen=True, slots=True)
class GroupedWords:
    """Words by group of records.

    Attributes:
        groups: groups that together have each record once.
        words: for each group its counted words.
    """

    groups: Sequence[Group]
    words: Sequence[CountedWords]
    _summed: dict[tuple[int, ...], WordsInOrder] = field(default_factory=dict)

    def in_all(self) -> WordsInOrder:
        """Return the words of all groups."""
        return self._sum(tuple(range(len(self.groups))))

    def panes(self) -> list[PaneTally]:
        """Return the words of each pane, in the order of the panes' keys. A pane without words is left out."""
        members: dict[Pane, list[int]] = defaultdict(list)
        for number, group in enumerate(self.groups):
            for pane in group.panes:
                members[pane].append(number)
        tallies = [PaneTally(pane, *self._sum(tuple(numbers))) for pane, numbers in members.items()]
        return sorted((one for one in tallies if len(one.words)), key=lambda one: one.pane.prefix)

    def dropped(self) -> Mapping[str, int]:
        """Return the words that were left out, by reason."""
        sums: Counter[str] = Counter()
        for words in self.words:
            sums.update(words.dropped)
        return dict(sums)

    def _sum(self, numbers: tuple[int, ...]) -> WordsInOrder:
        """Return the words of the groups with these numbers, each distinct word once."""
        if numbers not in self._summed:
            self._summed[numbers] = _in_order([self.words[number] for number in numbers])
        return self._summed[numbers]


def grouped_by_window(batches: Sequence[RecordBatch], windows: WindowState, times: Int64Array) -> Grouped:
    """Return the records of `batches`, numbered from 0, by the windows in which they count.

    Args:
        batches: adjacent batches.
        windows: rules of windows, and the clock before the batches.
        times: time of each record, see `tables.model.event_clock.read_times`.
    """
    offsets = np.concatenate([np.empty(0, np.int64), *(batch.all_offsets() for batch in batches)])
    return group_records(windows, times, offsets)


def confirmed(windows: WindowState, grouped: Grouped, batches: Sequence[RecordBatch]) -> Mapping[int, int]:
    """Return the jump that was confirmed by the records of `batches`, see `Windowed`."""
    if not grouped.confirmed:
        return {}
    assert windows.jump is not None, "a jump was confirmed"
    return {windows.jump.epoch: batches[-1].next_offset - 1}


def _in_order(parts: Sequence[CountedWords]) -> WordsInOrder:
    if len(parts) == 1:
        words, counts = parts[0].words.cast(pa.binary()), parts[0].counts.to_numpy()
    else:
        encoded = pa.concat_arrays([part.words for part in parts]).dictionary_encode()
        words, counts = encoded.dictionary.cast(pa.binary()), np.zeros(len(encoded.dictionary), np.int64)
        np.add.at(
            counts, encoded.indices.to_numpy(), np.concatenate([part.counts.to_numpy() for part in parts])
        )
    order = byte_order(words)
    return words.take(pa.array(order)), counts[order]
