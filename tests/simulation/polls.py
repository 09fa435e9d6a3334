"""Batches of the input as a poll delivers them: some Kafka batches joined, some on their own."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pyarrow as pa

from tables.model.records import RecordBatch
from tests.simulation.source import KafkaBatch, Value


def joined_batches(polled: Sequence[KafkaBatch], position: int, random: Random) -> list[RecordBatch]:
    """Return the records from the source offset `position` on, in batches of one or more Kafka batches."""
    joined: list[RecordBatch] = []
    values: dict[int, Value] = {}
    times: dict[int, int] = {}
    ids: dict[int, bytes | None] = {}
    for batch in polled:
        times.update(batch.times)
        ids.update(batch.ids)
        values.update((o, value) for o, value in batch.values.items() if o >= position)
        if random.random() < 0.5 or batch is polled[-1]:
            some = [ids[offset] for offset in values]
            dense = len(values) == batch.next_offset - position
            joined.append(
                RecordBatch(
                    pa.array(list(values.values()), pa.binary()),
                    position,
                    batch.next_offset,
                    None if dense else np.array(list(values), np.int64),
                    times=np.array([times[offset] for offset in values], np.int64),
                    ids=pa.array(some, pa.binary()) if any(some) else None,
                )
            )
            position, values = batch.next_offset, {}
    return joined
