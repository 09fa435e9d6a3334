"""Tally of records below rows ahead, whose words a torn flush or foreign records have partly counted already. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tables.model.records import DeadLetter, RecordBatch
from tables.model.tally import PaneTally, Tally, TallyRecords, Totals, Windowed, tally_of
from tables.model.windows import Pane, WindowState


def tally_beyond(
    uptos_ahead: Mapping[bytes, int],
    tally: TallyRecords,
    batches: Sequence[RecordBatch],
    windows: WindowState | None = None,
) -> Tally:
    """Return the tally of `batches` without the occurrences that rows ahead of the position already contain.

    Args:
        uptos_ahead: key -> `upto` of each row that is ahead of the position.
        tally: counts the words of batches.
        batches: adjacent batches, in offset order.
        windows: rules of windows, and the clock before the batches; None = no windows are counted.
    """
    sums = _Sums(uptos_ahead, windows)
    uptos = np.unique(np.fromiter(uptos_ahead.values(), np.int64, len(uptos_ahead)))
    for batch in batches:
        if not batch.record_count:
            continue
        # A flush ends between two batches. If another process cut the batches elsewhere, a batch is counted record by record.
        inside = np.any((uptos > batch.first_offset) & (uptos < batch.next_offset))
        for piece in batch.single_records() if inside else [batch]:
            # The `upto` of a row may lie in a gap behind the last record of a piece: compare with the offset of that record.
            sums.add(tally([piece], sums.windows), piece.offset_of(piece.record_count - 1))
    return sums.tally()


class _Sums:
    """Adds up the tallies of pieces, in offset order, without what rows ahead contain.

    Attributes:
        windows: windows as of the last piece.
    """

    def __init__(self, uptos_ahead: Mapping[bytes, int], windows: WindowState | None) -> None:
        self.windows = windows
        self._uptos_ahead = uptos_ahead
        self._words: dict[bytes, int] = defaultdict(int)
        self._panes: dict[Pane, dict[bytes, int]] = defaultdict(lambda: defaultdict(int))
        self._confirmed: dict[int, int] = {}
        self._totals = Totals()
        self._dead_letters: list[DeadLetter] = []

    def add(self, piece: Tally, last: int) -> None:
        """Add the tally of a piece whose last record has the offset `last`."""
        self._totals += piece.totals
        self._dead_letters += piece.dead_letters
        for word, count in zip(piece.words.to_pylist(), piece.counts.tolist(), strict=True):
            if self._uptos_ahead.get(word, 0) <= last:
                self._words[word] += count
        if piece.windowed is None or self.windows is None:
            return
        for epoch in piece.windowed.confirmed:
            self._confirm(epoch, last)
        for counted in piece.windowed.panes:
            counts = dict(zip(counted.words.to_pylist(), counted.counts.tolist(), strict=True))
            self._add_to(counted.pane, counts, last)
        self.windows = self.windows.at(piece.windowed.clock)

    def tally(self) -> Tally:
        """Return the sum. Panes that are not live at its end are left out."""
        words, counts = tally_of(self._words)
        if (windows := self.windows) is None:
            return Tally(words, counts, self._totals, self._dead_letters)
        panes = [
            PaneTally(pane, *tally_of(sums))
            for pane, sums in sorted(self._panes.items(), key=lambda item: item[0].prefix)
            if sums and windows.is_kept(pane)
        ]
        windowed = Windowed(panes, windows.clock, self._confirmed)
        return Tally(words, counts, self._totals, self._dead_letters, windowed)

    def _confirm(self, epoch: int, last: int) -> None:
        """Add the panes of a jump that a piece confirms to the confirmed panes."""
        self._confirmed[epoch] = last
        for pane in [pane for pane in self._panes if pane.epoch == epoch]:
            self._add_to(pane.confirmed, self._panes.pop(pane), last)

    def _add_to(self, pane: Pane, counts: Mapping[bytes, int], last: int) -> None:
        prefix, sums = pane.prefix, self._panes[pane]
        for word, count in counts.items():
            if self._uptos_ahead.get(prefix + word, 0) <= last:
                sums[word] += count
