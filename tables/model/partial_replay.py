"""Replaying records whose words are partly counted: what a torn flush, or somebody else's rows, left ahead of the position. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tables.model.records import RecordBatch
from tables.model.tally import Tally, TallyRecords, merge_tallies


def tally_beyond(
    uptos_ahead: Mapping[bytes, int], tally: TallyRecords, batches: Sequence[RecordBatch]
) -> Tally:
    """The tally of `batches` without the occurrences that rows ahead of the position already contain.

    Args:
        uptos_ahead: `upto` of each row that is ahead of the position.
        tally: counts the words of batches.
        batches: joining, in offset order.
    """
    uptos = np.unique(np.fromiter(uptos_ahead.values(), np.int64, len(uptos_ahead)))
    parts: list[Tally] = []
    for batch in batches:
        if not batch.record_count:
            continue
        # Flushes end between two batches. A batch that another one cut differently is taken record by record.
        inside = np.any((uptos > batch.first_offset) & (uptos < batch.next_offset))
        for piece in batch.single_records() if inside else [batch]:
            counted = tally([piece])
            # A row may end among the offsets without a record that follow a piece: its last record decides.
            last = piece.offset_of(piece.record_count - 1)
            keep = [uptos_ahead.get(word, 0) <= last for word in counted.word_list()]
            parts.append(counted.only(np.array(keep, bool)))
    return merge_tallies(parts)
