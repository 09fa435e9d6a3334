"""Record batches that are decoded record by record give the same records as aiokafka."""

from __future__ import annotations

import struct

import pytest
from aiokafka.codec import gzip_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from tables.fetch import batches as kafka_batches
from tables.fetch import byte_stream
from tables.fetch.batches import KafkaBatch, KafkaBatches, Record
from tables.fetch.unpacking import UnpackError
from tests.fakes.record_batches import CODECS, legacy, message

VALUES = [b"some text " * 20, b"", None, "größe".encode(), *(b"%d" % n for n in range(300))]
TARGET = memoryview(bytearray(1 << 20))


def batch_of(*values: bytes | None, codec: int = 0, headers: bool = False) -> KafkaBatch:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, 0, 0, 1 << 24)
    for offset, value in enumerate(values):
        assert builder.append(offset, 0, b"key", value, [("head", b"x" * 200)] if headers else []) is not None
    return KafkaBatches(bytes(builder.build())).next_batch()


def shown(records: list[Record | None]) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(one.offset, one.key, one.value) for one in records if one is not None]


@pytest.mark.parametrize("headers", [False, True])
@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_a_batch_at_once_and_in_parts_has_the_same_records(codec: int, headers: bool) -> None:
    truth = [(offset, b"key", value) for offset, value in enumerate(VALUES)]
    batch = batch_of(*VALUES, codec=codec, headers=headers)
    whole = batch.whole(TARGET)
    assert whole is not None
    assert shown(list(whole.records)) == truth
    assert shown(list(batch.parts(0, 1000, with_keys=True))) == truth
    assert shown(list(batch.parts(7, 1000))) == [(offset, None, value) for offset, _, value in truth[7:]]


@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_values_that_are_too_large_are_passed_over_and_told_of(codec: int) -> None:
    large = b"ab " * 700_000
    records = list(batch_of(b"a", large, b"c", large, codec=codec).parts(0, len(large) - 1))
    assert records == [
        Record(0, None, b"a", time_ms=0),
        Record(1, None, None, len(large), 0),
        Record(2, None, b"c", time_ms=0),
        Record(3, None, None, len(large), 0),
    ]


def test_there_is_a_pause_after_some_bytes_that_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_stream, "PAUSE_BYTES", 2 << 20)
    records = list(batch_of(b"a", bytes(10 << 20), codec=4).parts(0, 1000))
    assert records == [Record(0, None, b"a", time_ms=0), *[None] * 4, Record(1, None, None, 10 << 20, 0)]
    monkeypatch.setattr(kafka_batches, "PAUSE_RECORDS", 10)
    assert list(batch_of(*[b"a"] * 30, codec=4).parts(30, 1000)) == [None] * 3


@pytest.mark.parametrize("limit", ["WHOLE_BYTES", "WHOLE_RECORDS"])
@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_a_large_batch_is_not_unpacked_at_once(
    codec: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(*[b"some text"] * 1000, codec=codec)
    assert batch.whole(TARGET) is not None
    monkeypatch.setattr(kafka_batches, limit, 999)
    assert batch.whole(memoryview(bytearray(1000))) is None
    assert len(list(batch.parts(0, 1000))) == 1000


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)])
def test_former_formats_are_what_aiokafka_makes_of_them(magic: int, codec: int) -> None:
    values = [b"old", b"", None, b"text " * 100]
    data = legacy(magic, codec, 40, *values)
    batches, theirs = KafkaBatches(data), MemoryRecords(data)
    found, truth = [], []
    while batches.has_next():
        batch = batches.next_batch()
        assert batch.validate_crc()
        whole = batch.whole(TARGET)
        assert (whole is None) == bool(codec)
        found += shown(list(batch.parts(0, 1000, with_keys=True)))
        truth += [(one.offset, one.key, one.value) for one in theirs.next_batch()]
    assert found == truth == [(40 + i, b"k", value) for i, value in enumerate(values)]


@pytest.mark.parametrize("codec", [0, 1])
def test_former_formats_are_bounded_too(codec: int) -> None:
    batches = KafkaBatches(legacy(1, codec, 40, b"a", b"b" * 5000, b"c"))
    records = []
    while batches.has_next():
        records += list(batches.next_batch().parts(41, 1000))
    assert [one for one in records if one] == [
        Record(41, None, None, 5000, 0),
        Record(42, None, b"c", time_ms=0),
    ]


def test_a_message_compressed_twice_and_lz4_of_format_0_are_refused() -> None:
    twice = message(1, 0, gzip_encode(message(1, 0, b"a", codec=1)), codec=1)
    with pytest.raises(ValueError, match="a compressed message contains"):
        list(KafkaBatches(twice).next_batch().parts(0, 1000))
    with pytest.raises(UnpackError, match="format 0"):
        list(KafkaBatches(message(0, 0, b"a", codec=3)).next_batch().parts(0, 1000))


def test_a_response_ends_within_its_last_batch_but_not_within_the_first() -> None:
    data = legacy(1, 0, 0, b"a", b"b")
    batches = KafkaBatches(data[:-1])
    assert batches.has_next()
    batches.next_batch()
    assert not batches.has_next()
    cut = KafkaBatches(data[: len(data) // 2 - 1])
    assert cut.has_next()
    with pytest.raises(ValueError, match="ends within the batch"):
        cut.next_batch()
    assert not KafkaBatches(b"").has_next()


@pytest.mark.parametrize("length", [-1, -100, 0, 5])
def test_a_batch_of_an_impossible_length_is_refused(length: int) -> None:
    data = bytearray(legacy(1, 0, 0, b"a" * 100))
    struct.pack_into(">i", data, 8, length)
    with pytest.raises(ValueError, match="too short"):
        KafkaBatches(bytes(data)).next_batch()


def test_a_format_of_the_future_is_refused() -> None:
    data = bytearray(legacy(1, 0, 0, b"a"))
    data[16] = 3
    with pytest.raises(ValueError, match="message format 3 is not known"):
        KafkaBatches(bytes(data)).next_batch()
