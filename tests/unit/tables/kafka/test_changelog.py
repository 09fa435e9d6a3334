"""How rows are cut into Kafka batches; no broker."""

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from tables.kafka.changelog import packed
from tables.kafka.producer import COMPRESSIONS
from tables.model.names import MAX_REQUEST_BYTES, ROWS_PER_CHANGELOG_BATCH

Record = tuple[bytes, bytes]


def pack(records: list[Record], compression: str = "snappy") -> list[BatchBuilder]:
    return packed([key for key, _ in records], [value for _, value in records], compression)


def unpacked(parts: list[BatchBuilder]) -> list[list[Record]]:
    """The records as a broker gets them, by batch."""
    found = []
    for batch in parts:
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
    made = pack(records)
    numbers = [batch.record_count() for batch in made]
    assert numbers == [
        min(ROWS_PER_CHANGELOG_BATCH, count - start) for start in range(0, count, ROWS_PER_CHANGELOG_BATCH)
    ]
    parts = unpacked(made)
    assert [len(part) for part in parts] == numbers
    assert [record for part in parts for record in part] == records


def test_no_batch_is_larger_than_a_request() -> None:
    records = [(b"%05d" % i + b"x" * 16_384, b"%016d" % i) for i in range(200)]
    made = pack(records)
    assert len(made) > 3
    assert all(batch.size() <= MAX_REQUEST_BYTES for batch in made)
    assert [record for part in unpacked(made) for record in part] == records
    assert sum(batch.record_count() for batch in made) == len(records)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_is_read_as_it_was_written(compression: str) -> None:
    records = [(b"word-%d" % i, b"%016d" % i) for i in range(3000)]
    made = pack(records, compression)
    plain = pack(records, "none")
    assert [record for part in unpacked(made) for record in part] == records
    size = sum(len(batch._build()) for batch in pack(records, compression))
    assert (size < sum(len(batch._build()) for batch in plain)) == (compression != "none")
