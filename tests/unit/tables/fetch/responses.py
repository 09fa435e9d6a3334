"""Responses to fetches, and what a consumer makes of them."""

from collections.abc import Sequence

import numpy as np
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from tables.fetch.batches import KafkaBatches
from tables.fetch.fetching import BatchedPartitionRecords
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tables.model.records import RecordBatch
from tests.fakes.record_batches import end_offset

TP = TopicPartition("input", 0)


def response(
    unpacker: object,
    *batches: bytes,
    position: int,
    committed_only: bool = False,
    aborted: Sequence[tuple[int, int]] = (),
) -> BatchedPartitionRecords:
    isolation = fetcher.READ_COMMITTED if committed_only else fetcher.READ_UNCOMMITTED
    return BatchedPartitionRecords(
        TP, KafkaBatches(b"".join(batches)), list(aborted), position, None, unpacker, True, isolation
    )


def fetch(
    *batches: bytes,
    position: int,
    committed_only: bool = False,
    aborted: Sequence[tuple[int, int, int]] = (),
    with_times: bool = False,
) -> list[RecordBatch]:
    """Return everything from `position` on, fetched again as long as a response was left before its end.

    Args:
        batches: Kafka batches of message format 2.
        position: first offset wanted.
        committed_only: whether aborted transactions are left out.
        aborted: (producer, first offset, offset of the marker) of each aborted transaction.
        with_times: whether the times of the records are wanted, too.
    """
    unpacker, found = RecordBatchUnpacker(with_times=with_times), []
    end = max(end_offset(batch) for batch in batches)
    for _ in range(3):
        known = [(producer, first) for producer, first, marker in aborted if marker >= position]
        part = response(unpacker, *batches, position=position, committed_only=committed_only, aborted=known)
        found += list(part)
        position = part.next_fetch_offset
        batches = tuple(b for b in batches if end_offset(b) > position)
        if position == end:
            break
    assert position == end
    return found


def records(batches: Sequence[RecordBatch]) -> dict[int, bytes | None]:
    return {
        batch.offset_of(i): value for batch in batches for i, value in enumerate(batch.values.to_pylist())
    }


def timed(batches: Sequence[RecordBatch]) -> dict[int, tuple[bytes | None, int]]:
    """Return the value and the time of each record, by its offset."""
    found = {}
    for batch in batches:
        assert batch.times is not None
        assert batch.times.dtype == np.int64
        for i, (value, time_ms) in enumerate(
            zip(batch.values.to_pylist(), batch.times.tolist(), strict=True)
        ):
            found[batch.offset_of(i)] = (value, time_ms)
    return found


def assert_joined(batches: Sequence[RecordBatch], first_offset: int, next_offset: int) -> None:
    ends = [batch.next_offset for batch in batches]
    assert [batch.first_offset for batch in batches] == [first_offset, *ends[:-1]]
    assert ends[-1] == next_offset
