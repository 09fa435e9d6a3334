"""How rows are cut into Kafka batches, and in which order these are sent; no broker."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from aiokafka.producer import message_accumulator
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.kafka.changelog import Batch, KafkaChangelog, packed
from tables.kafka.producer import COMPRESSIONS
from tables.kafka.row_batch import RowBatch
from tables.model.names import MAX_REQUEST_BYTES
from tables.model.names import ROWS_PER_CHANGELOG_BATCH as FULL
from tables.model.rows import RowColumns, packed_rows

Record = tuple[bytes, bytes | None]

MARKER = (b"\xff", b"marker")


def rows_of(keys: list[bytes]) -> RowColumns:
    return RowColumns(pa.array(keys, pa.binary()), packed_rows(np.arange(len(keys)) * 1_000_003, 1 << 40))


def unpacked(parts: list[Batch]) -> list[list[Record]]:
    """The records as a broker gets them, by batch."""
    found = []
    for batch in parts:
        records = MemoryRecords(bytes(built(batch)))
        part = []
        while records.has_next():
            parsed = records.next_batch()
            assert parsed.validate_crc()
            part += [(record.key, record.value) for record in parsed]
        found.append(part)
    return found


def built(batch: Any) -> bytes:
    return bytes(batch._build())


@pytest.mark.parametrize("count", [0, 1, FULL - 1, FULL, FULL + 1, 20_000])
@pytest.mark.parametrize("first", [[], [(b"\xfdgone", None)]])
def test_records_keep_their_order_in_batches_of_a_bounded_number(count: int, first: list[Record]) -> None:
    rows = rows_of([b"word-%d" % i for i in range(count)])
    made = packed("snappy", first, rows, [MARKER])
    parts = unpacked(made)
    assert [len(part) for part in parts] == [batch.record_count() for batch in made]
    assert all(len(part) <= FULL for part in parts)
    assert [record for part in parts for record in part] == [*first, *rows.records(), MARKER]
    assert len(made) <= count // FULL + 1 + bool(first)


def test_few_rows_are_one_batch_with_what_comes_before_and_after_them() -> None:
    assert len(packed("snappy", [(b"\xfdgone", None)], rows_of([b"a", b"b"]), [MARKER])) == 1


def test_no_batch_is_larger_than_a_request() -> None:
    rows = rows_of([b"%05d" % i + b"x" * (200 if i % 2 else 60_000) for i in range(FULL + 100)])
    made = packed("none", [], rows, [MARKER])
    assert len(made) > 3
    assert all(len(built(batch)) <= MAX_REQUEST_BYTES for batch in made)
    assert [record for part in unpacked(made) for record in part] == [*rows.records(), MARKER]


def test_a_batch_takes_its_first_row_whatever_the_size_of_the_row() -> None:
    rows = rows_of([b"x" * 5000, b"y"])
    assert RowBatch(rows, 0, 0, most_bytes=1000).record_count() == 1


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_is_read_as_it_was_written(compression: str) -> None:
    rows = rows_of([b"word-%d" % i for i in range(FULL + 3000)])
    made = packed(compression, [], rows, [MARKER])
    assert [record for part in unpacked(made) for record in part] == [*rows.records(), MARKER]
    sizes = sum(len(built(batch)) for batch in made)
    plain = sum(len(built(batch)) for batch in packed("none", [], rows, [MARKER]))
    assert (sizes < plain) == (compression != "none")


KEY_LENGTHS = st.one_of(
    st.integers(0, 130), st.sampled_from([8190, 8191, 8192, 8193, 1 << 20, (1 << 20) + 7])
)


@given(st.lists(KEY_LENGTHS, min_size=1, max_size=5), st.integers(1, 200), st.sampled_from([0, 2]))
@settings(max_examples=60, deadline=None)
def test_a_batch_of_rows_has_the_bytes_that_aiokafka_gives_it(
    key_lengths: list[int], repeated: int, codec: int
) -> None:
    rows = rows_of([b"k" * length for length in key_lengths * repeated][:400])
    ours, theirs = RowBatch(rows, codec, 1_700_000_000_123, 1 << 24), BatchBuilder(1 << 24, codec)
    records = [*rows.before(ours.record_count()).records()]
    for number, (key, value) in enumerate(records):
        assert theirs._builder.append(number, 1_700_000_000_123, key, value, []) is not None
    theirs._relative_offset = len(records)
    for batch in (ours, theirs):
        batch._set_producer_state(7, 3, 12_345)
        batch.close()
    assert (ours.record_count(), ours.closed()) == (theirs.record_count(), theirs.closed())
    data = built(ours)
    assert data == built(theirs) == built(ours)
    assert ours.size() == theirs.size() == len(data)


def test_aiokafka_asks_a_batch_for_nothing_that_ours_lacks() -> None:
    source = inspect.getsource(message_accumulator.MessageBatch) + inspect.getsource(
        message_accumulator.MessageAccumulator.add_batch
    )
    asked = set(re.findall(r"builder\.(\w+)", source)) - {"append"}
    assert asked
    assert all(hasattr(RowBatch, name) for name in asked), asked


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
    count = (batches - 1) * FULL + 1

    async def before_last() -> None:
        events.append("called")
        await asyncio.sleep(0.02)
        events.append("ready")

    records = changelog.pack([(b"word", b"row")] * count)
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
        await changelog.append(0, changelog.pack([(b"word", b"row")]), before_last)
    assert not events
