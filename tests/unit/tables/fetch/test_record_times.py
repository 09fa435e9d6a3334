"""The times of the records of fetched batches: of the producer or of the broker, with holes, in parts and in former formats."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiokafka.record.memory_records import MemoryRecords

from tables.fetch import batches as kafka_batches
from tables.fetch import record_unpacker
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tests.fakes.record_batches import CODECS, end_of_transaction, end_offset, kafka_batch, legacy, plain
from tests.unit.tables.fetch.responses import assert_joined, fetch, response, timed

NOW = 1_790_000_000_000
VALUES = [b"some text", None, b"", b"largest", b"without a time"]
TIMES = [NOW, NOW - 500, NOW - 86_400_000, NOW + 7, -1]
"""The first difference is 0 and the others are negative, positive, and larger than 32 bits."""
FORMER = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)]
INT64 = [-(2**63), 2**63 - 1]


def batch_of(base: int, codec: int = 0, append_ms: int | None = None) -> bytes:
    records = {base + i: value for i, value in enumerate(VALUES)}
    return kafka_batch(base, records, base + len(VALUES), codec=codec, times=TIMES, append_ms=append_ms)


def aiokafka_times(data: bytes) -> dict[int, int]:
    batches, found = MemoryRecords(data), {}
    while batches.has_next():
        for record in batches.next_batch():
            found[record.offset] = -1 if record.timestamp is None else record.timestamp
    return found


def in_parts(monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    if wanted:
        monkeypatch.setattr(kafka_batches, "WHOLE_RECORDS", 0)
        monkeypatch.setattr(record_unpacker, "PART_RECORDS", 2)


def former(position: int, data: bytes) -> dict[int, tuple[bytes | None, int]]:
    items = list(response(RecordBatchUnpacker(with_times=True), data, position=position))
    return timed(items)


def test_times_are_there_only_if_somebody_asked_for_them() -> None:
    assert [batch.times for batch in fetch(batch_of(0), position=0)] == [None]


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("codec", range(5), ids=CODECS)
@pytest.mark.parametrize("position", [7, 9, 11])
def test_each_record_has_the_time_of_its_producer(
    codec: int, parts: bool, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch, parts)
    data = batch_of(7, codec)
    found = fetch(data, position=position, with_times=True)
    assert_joined([batch for batch in found if not batch.is_pause], position, 12)
    truth = {7 + i: pair for i, pair in enumerate(zip(VALUES, TIMES, strict=True))}
    assert timed(found) == {offset: pair for offset, pair in truth.items() if offset >= position}
    assert aiokafka_times(data) == {offset: time_ms for offset, (_, time_ms) in truth.items()}


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_the_broker_s_time_replaces_those_of_all_records(
    codec: int, parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch, parts)
    data = batch_of(7, codec, append_ms=NOW + 99)
    truth = {7 + i: (value, NOW + 99) for i, value in enumerate(VALUES)}
    assert timed(fetch(data, position=7, with_times=True)) == truth
    assert set(aiokafka_times(data).values()) == {NOW + 99}


def test_the_broker_s_time_is_not_read_of_each_record(monkeypatch: pytest.MonkeyPatch) -> None:
    class Untimed:
        offset, value = 0, b"a"

    def whole(*_: object) -> kafka_batches.Whole:
        return kafka_batches.Whole([Untimed()], 100)

    monkeypatch.setattr(kafka_batches.KafkaBatch, "whole", whole)
    data = kafka_batch(0, {0: b"a"}, 1, times=[5], append_ms=NOW)
    assert timed(fetch(data, position=0, with_times=True)) == {0: (b"a", NOW)}


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("append_ms", [None, NOW + 99])
@pytest.mark.parametrize("position", range(10))
def test_every_record_of_a_compacted_batch_has_its_own_time(
    append_ms: int | None, parts: bool, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch, parts)
    log = [
        plain(0, b"a", b"b"),
        kafka_batch(2, {3: b"d", 6: b"g"}, 8, times=[NOW, NOW - 5], append_ms=append_ms),
        kafka_batch(8, {}, 9),
        kafka_batch(9, {9: b"j"}, 10, times=[NOW + 1]),
    ]
    truth = {0: (b"a", 0), 1: (b"b", 0), 3: (b"d", append_ms or NOW), 6: (b"g", append_ms or NOW - 5)}
    truth[9] = (b"j", NOW + 1)
    found = fetch(*[one for one in log if end_offset(one) > position], position=position, with_times=True)
    assert_joined([batch for batch in found if not batch.is_pause], position, 10)
    assert timed(found) == {offset: pair for offset, pair in truth.items() if offset >= position}


@pytest.mark.parametrize("parts", [False, True])
def test_the_base_of_the_differences_need_not_be_the_time_of_a_record(
    parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch, parts)
    data = kafka_batch(0, {0: b"a", 1: b"b"}, 2, times=[0, -500], base_ms=NOW)
    assert timed(fetch(data, position=0, with_times=True)) == {0: (b"a", NOW), 1: (b"b", NOW - 500)}


@pytest.mark.parametrize("parts", [False, True])
def test_wrong_times_stay_within_64_bits_and_are_those_of_aiokafka(
    parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch, parts)
    for base_ms in INT64:
        data = kafka_batch(0, {0: b"a", 1: b"b", 2: b"c"}, 3, times=[0, 5, -5], base_ms=base_ms)
        found = timed(fetch(data, position=0, with_times=True))
        assert {offset: time_ms for offset, (_, time_ms) in found.items()} == aiokafka_times(data)
        assert found[0] == (b"a", base_ms)


def test_joined_batches_have_the_times_of_all_and_control_batches_have_none() -> None:
    found = fetch(
        kafka_batch(0, {0: b"a"}, 1, producer_id=5, transactional=True, times=[NOW]),
        end_of_transaction(1, 5, b"\x00\x00\x00\x01"),
        kafka_batch(2, {2: b"c"}, 3, times=[NOW + 1], append_ms=NOW + 2),
        kafka_batch(3, {3: b"d"}, 4, times=[NOW + 3]),
        end_of_transaction(4, 6, b"\x00\x00\x00\x01"),
        position=0,
        committed_only=True,
        with_times=True,
    )
    assert len(found) == 1
    assert timed(found) == {0: (b"a", NOW), 2: (b"c", NOW + 2), 3: (b"d", NOW + 3)}


@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_a_value_that_is_passed_over_has_a_time_too(codec: int) -> None:
    values: Sequence[bytes | None] = [b"a", b"large " * 3_000_000, None, b"c"]
    data = kafka_batch(
        0, dict(enumerate(values)), 4, codec=codec, times=[NOW, NOW - 1, NOW - 2, NOW - 3], most_bytes=1 << 25
    )
    items = list(response(RecordBatchUnpacker(1000, with_times=True), data, position=1))
    assert timed(items) == {1: (None, NOW - 1), 2: (None, NOW - 2), 3: (b"c", NOW - 3)}
    assert {offset for item in items for offset in item.oversized} == {1}
    assert any(item.is_pause for item in items)


@pytest.mark.parametrize(("magic", "codec"), FORMER)
@pytest.mark.parametrize("position", [40, 42])
def test_former_formats_have_the_times_of_their_messages_or_none(
    magic: int, codec: int, position: int
) -> None:
    data = legacy(magic, codec, 40, *VALUES, times=TIMES)
    stated = TIMES if magic else [-1] * len(VALUES)
    truth = {40 + i: pair for i, pair in enumerate(zip(VALUES, stated, strict=True))}
    assert former(position, data) == {offset: pair for offset, pair in truth.items() if offset >= position}
    assert aiokafka_times(data) == dict(zip(truth, stated, strict=True))


@pytest.mark.parametrize("codec", range(4), ids=CODECS[:4])
def test_the_broker_s_time_replaces_those_of_messages_of_format_1(codec: int) -> None:
    data = legacy(1, codec, 40, *VALUES, times=TIMES, append_ms=NOW + 99)
    assert former(40, data) == {40 + i: (value, NOW + 99) for i, value in enumerate(VALUES)}
    assert set(aiokafka_times(data).values()) == {NOW + 99}


def test_formats_in_one_response_are_joined_with_their_times() -> None:
    log = legacy(0, 0, 0, b"a") + legacy(1, 0, 1, b"b", times=[NOW]) + batch_of(2)
    items = list(response(RecordBatchUnpacker(with_times=True), log, position=0))
    assert len(items) == 1
    assert timed(items) == {
        0: (b"a", -1),
        1: (b"b", NOW),
        **{2 + i: pair for i, pair in enumerate(zip(VALUES, TIMES, strict=True))},
    }
