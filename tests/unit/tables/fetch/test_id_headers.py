"""Ids of records are found in their headers, whole batch or in parts, whatever else the headers and values are."""

import struct
from collections.abc import Sequence

import pytest
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c as crc32c

from tables.fetch import batches as kafka_batches
from tables.fetch.id_headers import may_have_ids
from tables.model.records import RecordBatch
from tests.fakes.record_batches import CODECS, kafka_batch
from tests.unit.tables.fetch.responses import fetch, records

NAME = "wordcount-id"
Headers = Sequence[tuple[str, bytes | None]]


def with_headers(found: Sequence[tuple[bytes, Headers]], codec: int = 0, base: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, 0, 0, 1 << 20)
    for offset, (value, headers) in enumerate(found):
        assert builder.append(offset, 0, None, value, list(headers)) is not None
    data = builder.build()
    data[:8] = base.to_bytes(8, "big")  # The checksum does not cover the offset.
    return bytes(data)


def ids(*batches: bytes) -> list[bytes | None]:
    return ids_of(fetch(*batches, position=0))


def ids_of(found: Sequence[RecordBatch]) -> list[bytes | None]:
    return [
        one
        for batch in found
        for one in (batch.ids.to_pylist() if batch.ids is not None else [None] * batch.record_count)
    ]


@pytest.fixture(params=["whole", "in parts"], autouse=True)
def parsed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in parts":
        monkeypatch.setattr(kafka_batches, "WHOLE_RECORDS", 0)


@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_ids_are_those_of_their_records(codec: int) -> None:
    batch = with_headers(
        [
            (b"a", [(NAME, b"1")]),
            (b"b", []),
            (b"c", [("other", b"x"), (NAME, b"\xff\0"), ("more", None)]),
            (b"wordcount-id", [("wordcount-id2", b"2")]),
        ],
        codec,
    )
    assert ids(batch) == [b"1", None, b"\xff\0", None]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(NAME, b"x" * 64)], b"x" * 64),
        ([(NAME, b"x" * 65)], None),
        ([(NAME, b"")], None),
        ([(NAME, None)], None),
        ([(NAME, b"1"), (NAME, b"2")], b"2"),
        ([(NAME, b"1"), (NAME, b"x" * 65)], None),
        ([("Wordcount-Id", b"1")], None),
        ([("x" * 300, b"y" * 3000), (NAME, b"1")], b"1"),
    ],
)
def test_what_is_an_id_and_what_is_none(headers: Headers, expected: bytes | None) -> None:
    assert ids(with_headers([(b"a", headers), (b"b", [(NAME, b"known")])])) == [expected, b"known"]


def test_small_batches_with_and_without_ids_are_joined() -> None:
    found = ids(
        with_headers([(b"a", [])]),
        with_headers([(b"b", [(NAME, b"1")]), (b"c", [])], base=1),
        with_headers([(b"d", [])], base=3),
        with_headers([(b"e", [(NAME, b"2")])], base=4),
    )
    assert found == [None, b"1", None, None, b"2"]


def test_a_fetch_that_begins_within_a_batch_has_the_ids_of_its_records() -> None:
    batch = with_headers([(b"a", [(NAME, b"1")]), (b"b", [(NAME, b"2")]), (b"c", [])])
    found = fetch(batch, position=1)
    assert ids_of(found) == [b"2", None]
    assert ids_of([rest for part in found if (rest := part.starting_at(2)) is not None]) == [None]


def test_the_name_of_a_header_that_is_not_utf_8_makes_no_record_unreadable() -> None:
    batch = with_headers([(b"a", [("w\u00e9", b"x"), (NAME, b"1")]), (b"b", [])]).replace(
        "\u00e9".encode(), b"\xff\xfe"
    )
    data = bytearray(batch)
    crc = crc32c(data[DefaultRecordBase.ATTRIBUTES_OFFSET :])
    struct.pack_into(">I", data, DefaultRecordBase.CRC_OFFSET, crc)
    found = fetch(bytes(data), position=0)
    assert records(found) == {0: b"a", 1: b"b"}
    assert ids(bytes(data)) == [b"1", None]


def test_very_many_headers_leave_pauses_and_no_id_is_missed() -> None:
    batch = with_headers([(b"a", [*([("x", b"")] * 40_000), (NAME, b"1")])])
    parts = [*kafka_batches.KafkaBatches(batch).next_batch().parts(0, 1000)]
    assert [part.record_id for part in parts if part is not None] == [b"1"]
    assert parts.count(None) == 40_000 // kafka_batches.PAUSE_RECORDS


def test_a_batch_without_the_name_of_the_header_costs_no_look_at_its_records() -> None:
    plain = kafka_batch(0, {n: b"w%011d" % n for n in range(100)}, 100)
    assert not may_have_ids(memoryview(plain))
    assert may_have_ids(memoryview(with_headers([(b"a", [(NAME, b"1")])])))
    assert not may_have_ids(memoryview(b""))
