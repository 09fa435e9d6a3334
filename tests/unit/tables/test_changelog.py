"""How rows are cut into Kafka batches; no broker."""

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords

from tables.changelog import KafkaChangelog, PackedBatches
from tables.producer import MAX_REQUEST_BYTES
from tables.schema import ROWS_PER_CHANGELOG_BATCH

Record = tuple[bytes, bytes]


def pack(records: list[Record]) -> PackedBatches:
    nothing: Any = None
    changelog = KafkaChangelog("changelog", {"bootstrap_servers": "kafka:9092"}, nothing, nothing, nothing)
    return changelog.pack([key for key, _ in records], [value for _, value in records])


def unpacked(packed: PackedBatches) -> list[list[Record]]:
    """The records as a broker gets them, by batch."""
    found = []
    for batch in packed.batches:
        data = batch._build()
        records = MemoryRecords(bytes(data))
        part = []
        while records.has_next():
            parsed = records.next_batch()
            assert parsed.validate_crc()
            part += [(record.key, record.value) for record in parsed]
        found.append(part)
    return found


@pytest.mark.parametrize(
    "count", [1, ROWS_PER_CHANGELOG_BATCH - 1, ROWS_PER_CHANGELOG_BATCH, ROWS_PER_CHANGELOG_BATCH + 1, 20_000]
)
def test_records_keep_their_order_in_batches_of_a_bounded_number(count: int) -> None:
    records = [(b"word-%d" % i, b"%016d" % i) for i in range(count)]
    packed = pack(records)
    numbers = [batch.record_count() for batch in packed.batches]
    assert numbers == [
        min(ROWS_PER_CHANGELOG_BATCH, count - start) for start in range(0, count, ROWS_PER_CHANGELOG_BATCH)
    ]
    parts = unpacked(packed)
    assert [len(part) for part in parts] == numbers
    assert [record for part in parts for record in part] == records


def test_no_batch_is_larger_than_a_request() -> None:
    records = [(b"%05d" % i + b"x" * 16_384, b"%016d" % i) for i in range(200)]
    packed = pack(records)
    assert len(packed.batches) > 3
    assert all(batch.size() <= MAX_REQUEST_BYTES for batch in packed.batches)
    assert [record for part in unpacked(packed) for record in part] == records
    assert sum(batch.record_count() for batch in packed.batches) == len(records)
