"""Bytes that nobody wrote, given to every codec: the documented error or a value that comes back, never anything else."""

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import PROFILES, tokenizer
from agents.text.value_format import value_format
from app.web.parameters import cursor_after, word_of_cursor
from tables.errors import BadRequestError, InexactError
from tables.fetch.batches import KafkaBatches
from tables.fetch.changelog_unpacker import ChangelogUnpacker
from tables.fetch.fetching import BatchedPartitionRecords, UnreadableBatchError
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tables.model.names import FORMAT_VERSION, IDENTIFIED_VERSION, MARKER_KEY, ROW_BYTES
from tables.model.records import ChangelogSlice, RecordBatch
from tables.model.replay import Replay
from tables.model.rows import (
    Marker,
    Owner,
    StoreState,
    decode_marker,
    decode_state,
    encode_marker,
    encode_state,
    unpack_row,
    unpack_rows,
)
from tables.model.tally import Totals
from tests.fakes.rows import pack_row

MARKER = Marker(
    topic="t", profile="unicode/1", origin=3, position=90, records=87, counted=85, skipped={"null": 2}
)
STATE = StoreState(marker=MARKER, examined=7, max_upto=91)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes cut out, put in, flipped or doubled."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 8)))
    return whole[:start] + draw(st.binary(max_size=8)) + whole[end:]


def one_member_changed(whole: bytes) -> st.SearchStrategy[bytes]:
    members = json.loads(whole)
    return st.tuples(st.sampled_from(sorted(members)), json_values).map(
        lambda change: json.dumps(members | {change[0]: change[1]}).encode()
    )


@given(st.binary(max_size=40))
def test_bytes_are_a_row_by_their_length_alone(value: bytes) -> None:
    if len(value) == ROW_BYTES:
        assert pack_row(*unpack_row(value)) == value
        assert unpack_rows([value]).tolist() == [list(unpack_row(value))]
        return
    for decode in (unpack_row, lambda value: unpack_rows([value])):
        with pytest.raises(InexactError, match="find out what else writes to the changelog topic"):
            decode(value)


@given(st.lists(st.binary(max_size=40) | st.binary(min_size=ROW_BYTES, max_size=ROW_BYTES), max_size=6))
def test_rows_of_other_lengths_are_refused_also_where_the_sum_is_right(values: list[bytes]) -> None:
    if all(len(value) == ROW_BYTES for value in values):
        assert unpack_rows(values).tolist() == [list(unpack_row(value)) for value in values]
    else:
        with pytest.raises(InexactError):
            unpack_rows(values)


@given(st.binary() | damaged(encode_marker(MARKER)) | one_member_changed(encode_marker(MARKER)))
def test_bytes_are_a_marker_of_this_version_or_refused(value: bytes) -> None:
    try:
        marker = decode_marker(value)
    except InexactError as error:
        assert error.remedy
    else:
        assert marker.version == FORMAT_VERSION
        assert decode_marker(encode_marker(marker)) == marker
        assert isinstance(marker.totals + Totals(1, 1), Totals)


@given(st.binary() | damaged(encode_state(STATE)) | one_member_changed(encode_state(STATE)))
def test_bytes_are_a_state_of_this_version_or_none(value: bytes) -> None:
    state = decode_state(value)
    if state is not None:
        assert decode_state(encode_state(state)) == state
        assert state.marker is None or state.marker.version == FORMAT_VERSION


@pytest.mark.parametrize("value", [b'{"topic":"\x80"', b'{"x":' + b"[" * 100_000, b'{"x":' * 100_000])
def test_bytes_that_are_no_utf8_or_nested_too_deeply_are_refused(value: bytes) -> None:
    assert decode_state(value) is None
    with pytest.raises(InexactError):
        decode_marker(value)


@given(st.integers().filter(lambda version: not FORMAT_VERSION <= version <= IDENTIFIED_VERSION))
def test_another_version_is_never_guessed_at(version: int) -> None:
    members = json.loads(encode_marker(MARKER)) | {"version": version}
    with pytest.raises(InexactError):
        decode_marker(json.dumps(members).encode())
    assert decode_state(json.dumps(json.loads(encode_state(STATE)) | {"marker": members}).encode()) is None


class EmptyStore:
    def get_many(self, keys: Sequence[bytes]) -> list[None]:
        return [None] * len(keys)


keys = st.just(MARKER_KEY) | st.binary(max_size=6)
values = (
    st.binary(min_size=ROW_BYTES, max_size=ROW_BYTES)
    | st.just(encode_marker(MARKER))
    | st.binary(max_size=20)
)


@given(st.lists(st.lists(st.tuples(keys, values), max_size=6), max_size=3))
def test_a_changelog_of_any_records_is_replayed_or_refused(slices: list[list[tuple[bytes, bytes]]]) -> None:
    replay = Replay(EmptyStore(), StoreState(marker=None, examined=0, max_upto=0), Owner("group", "t"))  # type: ignore[arg-type]
    end = 0
    with contextlib.suppress(InexactError):
        for records in slices:
            end += len(records)
            replay.apply(ChangelogSlice.of(records, end))
            assert replay.examined == end
        assert all(len(row) == ROW_BYTES for row in replay.take().values())


@given(st.text(), st.text(max_size=3))
def test_any_text_is_a_cursor_of_ours_or_refused(cursor: str, prefix: str) -> None:
    try:
        word = word_of_cursor(cursor, prefix)
    except BadRequestError:
        return
    assert cursor_after(word, prefix) == cursor


@given(
    st.lists(st.none() | st.binary(max_size=30), max_size=8),
    st.sampled_from(PROFILES),
    st.sampled_from(["text", "json"]),
)
def test_any_values_are_counted_skipped_or_dead_lettered(
    records: list[bytes | None], profile: str, name: str
) -> None:
    tally = RecordTally(
        tokenizer(profile),
        value_format(name),
        Policies(on_null="dead_letter", on_oversized_word="dead_letter", max_word_bytes=4),
    )
    found = tally([RecordBatch(pa.array(records, pa.binary()), 5, 5 + len(records))])
    totals = found.totals
    assert totals.records == len(records)
    assert totals.records == totals.counted + sum(totals.skipped.values()) + sum(
        totals.dead_lettered.values()
    )
    assert [(letter.value) for letter in found.dead_letters] == [
        records[letter.offset - 5] for letter in found.dead_letters
    ]
    assert found.counts.sum() == totals.words
    assert all(word.decode() is not None for word in found.word_list())


def kafka_batch() -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1 << 20)
    for number in range(5):
        builder.append(number, 0, b"k%d" % number, b"value %d" % number, [("h", b"x")])
    return bytes(builder.build())


BATCH = kafka_batch()
CRC_COVERS = 21
"""First byte of a batch that its checksum covers; the broker relies on those before it, and finds damage there itself."""


@pytest.mark.parametrize("unpacker", [RecordBatchUnpacker, ChangelogUnpacker])
@given(st.integers(8 * (CRC_COVERS - 4), 8 * len(BATCH) - 1))
def test_a_flipped_bit_of_a_batch_is_noticed(unpacker: Callable[[], Any], bit: int) -> None:
    flipped = bytearray(BATCH)
    flipped[bit // 8] ^= 1 << bit % 8
    records = BatchedPartitionRecords(
        TopicPartition("t", 0),
        KafkaBatches(bytes(flipped)),
        [],
        0,
        None,
        unpacker(),
        True,
        fetcher.READ_UNCOMMITTED,
    )
    with pytest.raises(UnreadableBatchError):
        list(records)
    assert records.next_fetch_offset == 0


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), st.integers(0, 2**63 - 1))
def test_every_int64_fits_a_row(counts: list[int], upto: int) -> None:
    rows = [pack_row(count, upto) for count in counts]
    assert unpack_rows(rows).dtype == np.int64
    assert [unpack_row(row) for row in rows] == [(count, upto) for count in counts]
