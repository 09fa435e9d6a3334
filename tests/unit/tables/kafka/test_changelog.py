"""How rows are cut into Kafka batches, and in which order these are sent; no broker."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from tables.kafka.changelog import KafkaChangelog, packed
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


class Producer:
    """Acknowledges a batch a moment after it was sent."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.end = 0

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> Awaitable[Any]:
        self.events.append("sent")
        base, self.end = self.end, self.end + batch.record_count()
        return asyncio.ensure_future(self._acknowledged(base))

    async def _acknowledged(self, base: int) -> Any:
        await asyncio.sleep(0.01)
        self.events.append("acknowledged")
        return SimpleNamespace(offset=base)


def changelog_of(producer: Producer) -> KafkaChangelog:
    async def send(topic: str, send: Callable[[Any], Awaitable[Any]], **_: str) -> Any:
        return await send(producer)

    shared: Any = SimpleNamespace(send=send, timeout_s=1.0, compression="none")
    nothing: Any = None
    return KafkaChangelog("changelog", {}, shared, nothing, nothing)


@pytest.mark.parametrize("batches", [1, 3])
async def test_the_last_batch_is_sent_when_all_others_are_acknowledged_and_who_waits_for_that_is_ready(
    batches: int,
) -> None:
    events: list[str] = []
    changelog = changelog_of(Producer(events))
    count = (batches - 1) * ROWS_PER_CHANGELOG_BATCH + 1

    async def before_last() -> None:
        events.append("called")
        await asyncio.sleep(0.02)
        events.append("ready")

    records = changelog.pack([b"word"] * count, [b"row"] * count)
    ranges = await changelog.append(0, records, before_last)
    others = batches - 1
    assert events == ["sent"] * others + ["acknowledged"] * others + [
        "called",
        "ready",
        "sent",
        "acknowledged",
    ]
    assert (ranges[0][0], ranges[-1][1], len(ranges)) == (0, count, batches)


async def test_nothing_more_is_sent_when_who_has_to_be_ready_fails() -> None:
    events: list[str] = []
    changelog = changelog_of(Producer(events))

    async def before_last() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        await changelog.append(0, changelog.pack([b"word"], [b"row"]), before_last)
    assert not events
