"""Responses to fetches, and what a consumer makes of them."""

from collections.abc import Sequence

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
    *batches: bytes, position: int, committed_only: bool = False, aborted: Sequence[tuple[int, int, int]] = ()
) -> list[RecordBatch]:
    """Everything from `position` on, fetched again as long as a response was left before its end.

    Args:
        aborted: (producer, first offset, offset of the marker) of each aborted transaction.
    """
    unpacker, found = RecordBatchUnpacker(), []
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


def assert_joined(batches: Sequence[RecordBatch], first_offset: int, next_offset: int) -> None:
    ends = [batch.next_offset for batch in batches]
    assert [batch.first_offset for batch in batches] == [first_offset, *ends[:-1]]
    assert ends[-1] == next_offset
