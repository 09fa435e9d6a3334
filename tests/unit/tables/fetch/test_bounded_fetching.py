"""How much of a response is delivered at a time: small batches joined, large ones in parts, polls that end."""

import struct
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c as crc32c

from tables.fetch import batches as kafka_batches
from tables.fetch import fetching, record_unpacker
from tables.fetch.fetching import BoundedFetchResult, UnreadableBatchError
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tests.fakes.record_batches import CODECS, kafka_batch, plain
from tests.unit.tables.fetch.responses import TP, assert_joined, fetch, records, response


def test_small_batches_are_joined_up_to_about_a_thousand_records() -> None:
    count = 2 * record_unpacker.RECORDS_PER_BATCH + 1
    batches = fetch(*(plain(offset, b"%d" % offset) for offset in range(count)), position=0)
    assert [batch.record_count for batch in batches] == [
        record_unpacker.RECORDS_PER_BATCH,
        record_unpacker.RECORDS_PER_BATCH,
        1,
    ]
    assert_joined(batches, 0, count)
    assert records(batches) == {offset: b"%d" % offset for offset in range(count)}


@pytest.mark.parametrize("part_records", [2, 3, 5])
def test_the_records_of_a_large_batch_are_delivered_before_what_is_wrong_in_it(
    part_records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_batches, "WHOLE_RECORDS", 0)
    monkeypatch.setattr(record_unpacker, "PART_RECORDS", part_records)
    batch = bytearray(kafka_batch(0, {0: b"a", 1: b"b", 2: b"c", 3: b"d"}, 5))
    struct.pack_into(">i", batch, 57, 5)
    body = batch[DefaultRecordBase.ATTRIBUTES_OFFSET :]
    struct.pack_into(">I", batch, DefaultRecordBase.CRC_OFFSET, crc32c(body))
    items = list(response(RecordBatchUnpacker(), bytes(batch), position=0))
    assert_joined(items, 0, 4)
    assert records(items) == {0: b"a", 1: b"b", 2: b"c", 3: b"d"}
    with pytest.raises(UnreadableBatchError, match="at offset 4 cannot be decoded"):
        list(response(RecordBatchUnpacker(), bytes(batch), position=4))


@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_values_that_are_too_large_are_told_of_and_the_others_delivered(codec: int) -> None:
    values = [b"a", b"large " * 4_000_000, None, b"c", b"large " * 4_000_000]
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, 0, 0, 1 << 28)
    for offset, value in enumerate(values):
        assert builder.append(offset, 0, None, value, []) is not None
    found = [
        item
        for item in response(RecordBatchUnpacker(10_000_000), bytes(builder.build()), position=0)
        if not item.is_pause
    ]
    assert_joined(found, 0, 5)
    assert records(found) == {0: b"a", 1: None, 2: None, 3: b"c", 4: None}
    assert {offset: size for item in found for offset, size in item.oversized.items()} == {
        1: 24_000_000,
        4: 24_000_000,
    }


def test_batches_are_joined_up_to_about_a_mebibyte() -> None:
    values = [b"x" * 300_000] * 9
    batches = fetch(*(plain(i, value, codec=4) for i, value in enumerate(values)), position=0)
    assert [batch.record_count for batch in batches] == [4, 4, 1]
    assert_joined(batches, 0, 9)


@pytest.mark.parametrize("codec", range(5), ids=CODECS)
@pytest.mark.parametrize("position", [0, 3, 4, 9])
def test_a_large_batch_is_delivered_in_parts(
    codec: int, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_batches, "WHOLE_BYTES", 5000)
    monkeypatch.setattr(kafka_batches, "PAUSE_RECORDS", 2)
    monkeypatch.setattr(record_unpacker, "PART_BYTES", 3000)
    kept = {offset: b"%d" % offset * 1000 for offset in range(12) if offset not in {3, 5, 6, 11}}
    log = [plain(-1, b"before"), kafka_batch(0, kept, 12, codec=codec), plain(12, b"after")]
    batches = fetch(*log[1:], position=position) if position else fetch(*log, position=-1)
    assert_joined([batch for batch in batches if not batch.is_pause], position or -1, 13)
    truth = {-1: b"before", **kept, 12: b"after"}
    assert records(batches) == {
        offset: value for offset, value in truth.items() if offset >= (position or -1)
    }
    assert max(batch.byte_count for batch in batches) < 9000


class _Assigned:
    """Stands for aiokafka's assignment of one partition."""

    active, paused = True, False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, _: object) -> Any:
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def test_a_poll_takes_what_there_is_room_for_and_the_next_one_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "PARTITION_POLL_BYTES", 5 << 20)
    unpacker = RecordBatchUnpacker()
    batches = [plain(offset, b"%d" % offset * 2_000_000, codec=4) for offset in range(8)]
    assigned = _Assigned(0)
    result = BoundedFetchResult(
        TP, assignment=assigned, partition_records=response(unpacker, *batches, position=0), backoff=0.1
    )
    taken = []
    for room_mb, positions in ((100, [1, 2, 3]), (3, [4, 5]), (0, []), (100, [6, 7, 8])):
        unpacker.room_bytes = room_mb << 20
        items = result.getall(50)
        taken += items
        assert [item.next_offset for item in items] == positions
        assert unpacker.room_bytes < room_mb << 20 or not items
        assert assigned.position == (positions or [5])[-1]
    assert result.has_more()
    assert result.getall(50) == []
    assert not result.has_more()
    assert records(taken) == {offset: b"%d" % offset * 2_000_000 for offset in range(8)}


def test_a_poll_ends_at_a_pause() -> None:
    unpacker, assigned = RecordBatchUnpacker(1000), _Assigned(0)
    large = response(unpacker, plain(0, bytes(50_000_000), codec=4), plain(1, b"after"), position=0)
    result = BoundedFetchResult(TP, assignment=assigned, partition_records=large, backoff=0.1)
    polls = [[(item.is_pause, item.next_offset) for item in result.getall(50)] for _ in range(2)]
    assert polls == [[(True, 0)], [(True, 0)]]
    assert result.getall(50)[0].oversized == {0: 50_000_000}


def test_what_precedes_a_large_batch_takes_the_place_of_no_pause() -> None:
    unpacker = RecordBatchUnpacker(1000)
    items = list(response(unpacker, plain(0, b"before"), plain(1, bytes(50_000_000), codec=4), position=0))
    assert [(item.is_pause, item.next_offset) for item in items] == [
        (False, 1),
        (True, 1),
        (True, 1),
        (False, 2),
    ]
