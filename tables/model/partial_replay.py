"""Tally of records below rows ahead, whose words a torn flush or foreign records have partly counted already. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tables.model.records import RecordBatch
from tables.model.tally import Tally, TallyRecords, merge_tallies


def tally_beyond(
    uptos_ahead: Mapping[bytes, int], tally: TallyRecords, batches: Sequence[RecordBatch]
) -> Tally:
    """Return the tally of `batches` without the occurrences that rows ahead of the position already contain.

    Args:
        uptos_ahead: word -> `upto` of each row that is ahead of the position.
        tally: counts the words of batches.
        batches: adjacent batches, in offset order.
    """
    uptos = np.unique(np.fromiter(uptos_ahead.values(), np.int64, len(uptos_ahead)))
    parts: list[Tally] = []
    for batch in batches:
        if not batch.record_count:
            continue
        # A flush ends between two batches. If another process cut the batches elsewhere, a batch is counted record by record.
        inside = np.any((uptos > batch.first_offset) & (uptos < batch.next_offset))
        for piece in batch.single_records() if inside else [batch]:
            counted = tally([piece])
            # The `upto` of a row may lie in a gap behind the last record of a piece: compare with the offset of that record.
            last = piece.offset_of(piece.record_count - 1)
            keep = [uptos_ahead.get(word, 0) <= last for word in counted.word_list()]
            parts.append(counted.only(np.array(keep, bool)))
    return merge_tallies(parts)
