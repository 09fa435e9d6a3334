"""Codecs of rows, markers and states."""

import json

import msgspec
import numpy as np
import pytest

from tables.errors import InexactError
from tables.model.names import FORMAT_VERSION, IDENTIFIED_VERSION, ROW_BYTES
from tables.model.rows import (
    Marker,
    StoreState,
    decode_marker,
    decode_state,
    encode_marker,
    encode_state,
    pack_rows,
    unpack_row,
    unpack_rows,
)
from tables.model.tally import Totals
from tests.fakes.rows import pack_row

MARKER = Marker(
    topic="input", profile="p", origin=3, position=9, records=6, counted=4, words=11, skipped={"null": 2}
)


def test_a_row_is_two_big_endian_numbers() -> None:
    assert pack_row(1, 258) == bytes(7) + b"\x01" + bytes(6) + b"\x01\x02"
    assert unpack_row(pack_row(1, 258)) == (1, 258)


def test_rows_packed_together_are_those_packed_one_by_one() -> None:
    counts = np.array([1, 7, 2**62], np.int64)
    assert pack_rows(counts, 99) == [pack_row(count, 99) for count in counts.tolist()]
    assert unpack_rows(pack_rows(counts, 99)).tolist() == [[1, 99], [7, 99], [2**62, 99]]
    assert pack_rows(np.array([], np.int64), 5) == []
    assert unpack_rows([]).shape == (0, 2)


@pytest.mark.parametrize("value", [b"", bytes(ROW_BYTES - 1), bytes(ROW_BYTES + 1)])
def test_a_value_of_another_length_is_no_row(value: bytes) -> None:
    with pytest.raises(InexactError, match="what else writes"):
        unpack_row(value)
    with pytest.raises(InexactError, match="what else writes"):
        unpack_rows([pack_row(1, 1), value])


def test_wrong_lengths_that_add_up_are_no_rows() -> None:
    with pytest.raises(InexactError):
        unpack_rows([bytes(ROW_BYTES - 1), bytes(ROW_BYTES + 1)])


def test_a_marker_advances_by_what_a_flush_brought() -> None:
    after = MARKER.advanced(
        12,
        Totals(3, 1, 2, skipped={"null": 1}, dead_lettered={"invalid_utf8": 1}, dropped_words={"empty": 5}),
    )
    assert (after.origin, after.position) == (3, 12)
    assert after.totals == Totals(9, 5, 13, {"null": 3}, {"invalid_utf8": 1}, {"empty": 5})
    assert decode_marker(encode_marker(after)) == after


@pytest.mark.parametrize("value", [b"", b"{}", b"nonsense", b"[]", bytes(ROW_BYTES), b'{"topic":1}'])
def test_what_is_no_marker_is_refused(value: bytes) -> None:
    with pytest.raises(InexactError, match="marker that cannot be read"):
        decode_marker(value)


def test_a_marker_of_another_version_is_refused_with_both_versions() -> None:
    other = Marker(topic="input", profile="p", origin=0, position=1, version=IDENTIFIED_VERSION + 1)
    with pytest.raises(
        InexactError,
        match=f"format {IDENTIFIED_VERSION + 1}, this program reads {FORMAT_VERSION} to {IDENTIFIED_VERSION}",
    ):
        decode_marker(encode_marker(other))


@pytest.mark.parametrize(
    "change",
    [{"origin": 10}, {"origin": -1}, {"records": 5}, {"skipped": {}}, {"dead_lettered": {"null": 1}}],
)
def test_a_marker_that_cannot_be_true_is_never_written_and_refused_where_it_is_read(
    change: dict[str, object],
) -> None:
    untrue = msgspec.structs.replace(MARKER, **change)
    with pytest.raises(InexactError, match="cannot be true"):
        decode_marker(msgspec.json.encode(untrue))
    with pytest.raises(AssertionError):
        encode_marker(untrue)
    state = StoreState(marker=untrue, examined=17, max_upto=12)
    assert decode_state(msgspec.json.encode(state)) is None
    with pytest.raises(AssertionError):
        encode_state(state)


@pytest.mark.parametrize("marker", [None, MARKER])
def test_a_state_comes_back_as_it_was(marker: Marker | None) -> None:
    state = StoreState(marker=marker, examined=17, max_upto=12)
    assert decode_state(encode_state(state)) == state
    assert state.position == (9 if marker else 0)
    assert state.totals == (MARKER.totals if marker else Totals())


def test_names_in_stores_and_changelogs_are_those_of_the_first_release() -> None:
    marker = Marker(topic="input", profile="p", origin=0, position=1, prior_position=7)
    state = json.loads(encode_state(StoreState(marker=marker, examined=3, max_upto=5)))
    assert (state["changelog_next"], state["ahead"]) == (3, 5)
    assert state["marker"]["ahead"] == json.loads(encode_marker(marker))["ahead"] == 7
    assert not {"examined", "max_upto", "prior_position"} & {*state, *state["marker"]}


def test_a_state_that_cannot_be_read_is_none() -> None:
    other = Marker(topic="input", profile="p", origin=0, position=1, version=IDENTIFIED_VERSION + 1)
    assert decode_state(encode_state(StoreState(marker=other, examined=1, max_upto=1))) is None
    assert decode_state(b"nonsense") is None
