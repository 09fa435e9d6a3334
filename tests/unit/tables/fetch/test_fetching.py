"""Kafka batches, built in memory as a broker would send them, become `RecordBatch`es and `ChangelogSlice`s."""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c as crc32c

from tables.fetch import batches as kafka_batches
from tables.fetch import fetching
from tables.fetch.batches import KafkaBatches
from tables.fetch.fetching import (
    BatchedPartitionRecords,
    BoundedFetchResult,
    ChangelogUnpacker,
    RecordBatchUnpacker,
    UnreadableBatchError,
)
from tables.model.records import ChangelogSlice, RecordBatch
from tests.unit.tables.fetch.test_batches import legacy

TP = TopicPartition("input", 0)
_HEADER = DefaultRecordBase.HEADER_STRUCT
ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def kafka_batch(
    base: int,
    records: dict[int, bytes | None],
    next_offset: int,
    *,
    keys: Sequence[bytes] = (),
    producer_id: int = -1,
    transactional: bool = False,
    control: bool = False,
    codec: int = 0,
) -> bytes:
    """One batch of `records` (offset -> value) that spans [base, next_offset)."""
    builder = DefaultRecordBatchBuilder(2, codec, int(transactional), producer_id, 0, 0, 1 << 20)
    for i, (offset, value) in enumerate(records.items()):
        assert builder.append(offset - base, 0, keys[i] if keys else None, value, []) is not None
    data = bytearray(builder.build())
    fields = list(_HEADER.unpack_from(data))
    fields[0] = base
    fields[5] |= DefaultRecordBase.CONTROL_MASK if control else 0
    fields[6] = next_offset - 1 - base
    fields[12] = len(records)
    _HEADER.pack_into(data, 0, *fields)
    struct.pack_into(
        ">I", data, DefaultRecordBase.CRC_OFFSET, crc32c(data[DefaultRecordBase.ATTRIBUTES_OFFSET :])
    )
    return bytes(data)


def plain(base: int, *values: bytes | None, codec: int = 0) -> bytes:
    return kafka_batch(
        base, {base + i: value for i, value in enumerate(values)}, base + len(values), codec=codec
    )


def end_of_transaction(base: int, producer_id: int, kind: bytes) -> bytes:
    return kafka_batch(
        base, {base: b""}, base + 1, keys=[kind], producer_id=producer_id, transactional=True, control=True
    )


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
    end = max(_HEADER.unpack_from(batch)[0] + _HEADER.unpack_from(batch)[6] + 1 for batch in batches)
    for _ in range(3):
        known = [(producer, first) for producer, first, marker in aborted if marker >= position]
        part = response(unpacker, *batches, position=position, committed_only=committed_only, aborted=known)
        found += list(part)
        position = part.next_fetch_offset
        batches = tuple(
            b for b in batches if _HEADER.unpack_from(b)[0] + _HEADER.unpack_from(b)[6] + 1 > position
        )
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


@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_a_contiguous_batch_becomes_one_array_without_offsets(codec: int) -> None:
    values = [b"some text " * 20, b"", None, "größe".encode()]
    [batch] = fetch(plain(7, *values, codec=codec), position=7)
    assert batch.values.to_pylist() == values
    assert (batch.first_offset, batch.next_offset, batch.offsets) == (7, 11, None)


def test_small_batches_are_joined_up_to_about_a_thousand_records() -> None:
    count = 2 * fetching.RECORDS_PER_BATCH + 1
    batches = fetch(*(plain(offset, b"%d" % offset) for offset in range(count)), position=0)
    assert [batch.record_count for batch in batches] == [
        fetching.RECORDS_PER_BATCH,
        fetching.RECORDS_PER_BATCH,
        1,
    ]
    assert_joined(batches, 0, count)
    assert records(batches) == {offset: b"%d" % offset for offset in range(count)}


def test_a_fetch_may_begin_inside_a_batch() -> None:
    [batch] = fetch(plain(0, b"a", b"b", b"c", b"d"), position=2)
    assert (batch.first_offset, batch.next_offset) == (2, 4)
    assert records([batch]) == {2: b"c", 3: b"d"}


def test_holes_of_compaction_keep_every_record_at_its_offset() -> None:
    batches = fetch(
        plain(0, b"a", b"b"),
        kafka_batch(2, {3: b"d", 6: b"g"}, 8),
        plain(10, b"k"),
        position=0,
    )
    assert_joined(batches, 0, 11)
    assert records(batches) == {0: b"a", 1: b"b", 3: b"d", 6: b"g", 10: b"k"}


def test_a_fetch_may_begin_in_a_hole_or_after_some_records_of_a_compacted_batch() -> None:
    for position in range(2, 8):
        batches = fetch(kafka_batch(2, {3: b"d", 6: b"g"}, 8), position=position)
        assert_joined(batches, position, 8)
        assert records(batches) == {o: v for o, v in {3: b"d", 6: b"g"}.items() if o >= position}


def test_a_batch_that_compaction_emptied_still_moves_the_position() -> None:
    [batch] = fetch(kafka_batch(4, {}, 9), position=4)
    assert (batch.record_count, batch.first_offset, batch.next_offset) == (0, 4, 9)


def test_control_batches_hold_no_records_but_move_the_position() -> None:
    batches = fetch(
        kafka_batch(0, {0: b"a"}, 1, producer_id=5, transactional=True),
        end_of_transaction(1, 5, COMMIT),
        plain(2, b"c"),
        end_of_transaction(3, 6, COMMIT),
        position=0,
        committed_only=True,
    )
    assert_joined(batches, 0, 4)
    assert records(batches) == {0: b"a", 2: b"c"}


def test_aborted_transactions_are_left_out_and_all_others_are_delivered() -> None:
    log = [
        kafka_batch(0, {0: b"aborted"}, 1, producer_id=5, transactional=True),
        kafka_batch(1, {1: b"of another"}, 2, producer_id=6, transactional=True),
        plain(2, b"without a transaction"),
        end_of_transaction(3, 5, ABORT),
        end_of_transaction(4, 6, COMMIT),
        kafka_batch(5, {5: b"aborted"}, 6, producer_id=6, transactional=True),
        end_of_transaction(6, 6, ABORT),
    ]
    batches = fetch(*log, position=0, committed_only=True, aborted=[(6, 5, 6), (5, 0, 3)])
    assert_joined(batches, 0, 7)
    assert records(batches) == {1: b"of another", 2: b"without a transaction"}


def test_a_producer_commits_after_it_aborted_in_the_same_response() -> None:
    log = [
        kafka_batch(0, {0: b"aborted"}, 1, producer_id=5, transactional=True),
        end_of_transaction(1, 5, ABORT),
        kafka_batch(2, {2: b"committed"}, 3, producer_id=5, transactional=True),
        end_of_transaction(3, 5, COMMIT),
    ]
    batches = fetch(*log, position=0, committed_only=True, aborted=[(5, 0, 1)])
    assert records(batches) == {2: b"committed"}


def test_read_uncommitted_delivers_aborted_records_too() -> None:
    log = [
        kafka_batch(0, {0: b"aborted"}, 1, producer_id=5, transactional=True),
        end_of_transaction(1, 5, ABORT),
    ]
    assert records(fetch(*log, position=0)) == {0: b"aborted"}


@pytest.mark.parametrize("unpacker", [RecordBatchUnpacker, ChangelogUnpacker])
def test_a_wrong_checksum_is_refused_after_what_came_before_it_was_delivered(
    unpacker: Callable[[], Any],
) -> None:
    broken = bytearray(plain(2, b"c"))
    broken[-2] ^= 1
    part = response(unpacker(), plain(0, b"a", b"b"), bytes(broken), position=0)
    assert [item.next_offset for item in part] == [2]
    assert part.next_fetch_offset == 2
    with pytest.raises(
        UnreadableBatchError, match=r"input partition 0: the record batch at offset 2 is corrupt$"
    ):
        list(response(unpacker(), bytes(broken), position=2))


def test_the_parsing_agrees_with_that_of_aiokafka() -> None:
    log = [
        plain(0, b"a", None, codec=3),
        kafka_batch(2, {3: b"d"}, 5),
        kafka_batch(5, {5: b"e"}, 6, producer_id=5, transactional=True),
        end_of_transaction(6, 5, ABORT),
        kafka_batch(7, {7: b"f", 9: b"h"}, 10, producer_id=5, transactional=True),
        end_of_transaction(10, 5, COMMIT),
        plain(11, b"l"),
    ]
    for position in range(12):
        kept = [b for b in log if _HEADER.unpack_from(b)[0] + _HEADER.unpack_from(b)[6] + 1 > position]
        known = [(5, 5)] if position <= 6 else []
        theirs = response(None, *kept, position=position, committed_only=True, aborted=known)
        ours = fetch(*kept, position=position, committed_only=True, aborted=[(5, 5, 6)])
        assert records(ours) == {record.offset: record.value for record in theirs}


UNDECODABLE = {
    "gzip": kafka_batch(0, {0: b"text " * 100}, 1, codec=1),
    "snappy": kafka_batch(0, {0: b"text " * 100}, 1, codec=2),
    "lz4": kafka_batch(0, {0: b"text " * 100}, 1, codec=3),
    "zstd": kafka_batch(0, {0: b"text " * 100}, 1, codec=4),
    "unknown codec": kafka_batch(0, {0: b"text " * 100}, 1),
    "record longer than the batch": kafka_batch(0, {0: b"text " * 100}, 1),
    "count": kafka_batch(0, {0: b"text " * 100}, 1),
    "format": plain(0, b"text"),
    "length": plain(0, b"text"),
    "cut off": plain(0, b"text"),
}


def undecodable(name: str, base: int = 0) -> bytes:
    """A batch with a right checksum that no client can decode."""
    data = bytearray(UNDECODABLE[name])
    struct.pack_into(">q", data, 0, base)
    match name:
        case "unknown codec":
            data[22] |= 7
        case "record longer than the batch":
            data[61] = 0x7F
        case "count":
            struct.pack_into(">i", data, 57, 50)
        case "format":
            data[16] = 9
        case "length":
            struct.pack_into(">i", data, 8, -1)
        case "cut off":
            return bytes(data[:-3])
        case _:
            data[65:75] = b"?" * 10
    body = data[DefaultRecordBase.ATTRIBUTES_OFFSET :]
    struct.pack_into(">I", data, DefaultRecordBase.CRC_OFFSET, crc32c(body))
    return bytes(data)


@pytest.mark.parametrize("unpacker", [RecordBatchUnpacker, ChangelogUnpacker])
@pytest.mark.parametrize("name", UNDECODABLE)
def test_whatever_is_wrong_with_a_batch_is_an_error_of_that_batch_after_what_precedes_it(
    name: str, unpacker: Callable[[], Any]
) -> None:
    wrong = undecodable(name)
    with pytest.raises(
        UnreadableBatchError, match=r"input partition 0: the record batch at offset 0 cannot be decoded"
    ):
        list(response(unpacker(), wrong, position=0))
    before = plain(-2, b"a", b"b")
    part = response(unpacker(), before, wrong, position=-2)
    assert [(item.record_count, part.next_fetch_offset) for item in part] == [(2, 0)]


def test_a_part_of_a_large_batch_is_delivered_before_what_is_wrong_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_batches, "WHOLE_RECORDS", 0)
    monkeypatch.setattr(fetching, "PART_RECORDS", 2)
    batch = bytearray(kafka_batch(0, {0: b"a", 1: b"b", 2: b"c", 3: b"d"}, 5))
    struct.pack_into(">i", batch, 57, 5)
    body = batch[DefaultRecordBase.ATTRIBUTES_OFFSET :]
    struct.pack_into(">I", batch, DefaultRecordBase.CRC_OFFSET, crc32c(body))
    part = response(RecordBatchUnpacker(), bytes(batch), position=0)
    assert records(list(part)) == {0: b"a", 1: b"b", 2: b"c", 3: b"d"}
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
    for module in (kafka_batches, fetching):
        monkeypatch.setattr(module, "WHOLE_BYTES", 5000)
    monkeypatch.setattr(kafka_batches, "PAUSE_RECORDS", 2)
    monkeypatch.setattr(fetching, "PART_BYTES", 3000)
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


def test_records_of_former_formats_are_delivered() -> None:
    values = [b"old", None, b"", b"text"]
    log = b"".join(
        [legacy(0, 0, 0, *values), legacy(1, 1, 4, *values), legacy(0, 1, 8, *values), plain(12, b"new")]
    )
    for position in range(13):
        part = response(RecordBatchUnpacker(), log, position=position)
        batches = [item for item in part if not item.is_pause]
        assert_joined(batches, position, 13)
        truth = {offset: values[offset % 4] for offset in range(12)} | {12: b"new"}
        assert records(batches) == {offset: value for offset, value in truth.items() if offset >= position}


def test_a_changelog_may_have_records_of_former_formats() -> None:
    [part] = changelog_slices(legacy(1, 0, 0, b"1"), legacy(1, 1, 1, b"2", b"3"), plain(3, b"4"), position=2)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == (
        [b"k", b""],
        [b"3", b"4"],
        4,
    )


def changelog_slices(*batches: bytes, position: int) -> Iterator[ChangelogSlice]:
    return iter(response(ChangelogUnpacker(), *batches, position=position))


def test_a_changelog_batch_becomes_keys_and_values() -> None:
    batch = kafka_batch(3, {3: b"1", 5: b"2"}, 7, keys=[b"x", b"y"])
    [part] = changelog_slices(batch, position=3)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == (
        [b"x", b"y"],
        [b"1", b"2"],
        7,
    )


def test_the_batches_of_a_response_become_one_slice() -> None:
    batches = [kafka_batch(3, {3: b"1"}, 4, keys=[b"x"]), kafka_batch(4, {5: b"2"}, 6, keys=[b"y"])]
    [part] = changelog_slices(*batches, position=3)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == (
        [b"x", b"y"],
        [b"1", b"2"],
        6,
    )


def test_changelog_records_below_the_position_are_left_out() -> None:
    batch = kafka_batch(3, {3: b"1", 5: b"2"}, 7, keys=[b"x", b"y"])
    [part] = changelog_slices(batch, position=4)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == ([b"y"], [b"2"], 7)


def test_a_changelog_record_without_key_or_value_is_shown_as_empty() -> None:
    [part] = changelog_slices(plain(0, None), position=0)
    assert (part.keys.to_pylist(), part.values.to_pylist()) == ([b""], [b""])


def test_other_consumers_see_ordinary_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    fetching.install()
    fetching.install()
    part = fetcher.PartitionRecords(
        TP, KafkaBatches(plain(4, b"a")), [], 4, None, None, True, fetcher.READ_COMMITTED
    )
    assert [(record.offset, record.value) for record in part] == [(4, b"a")]
