"""Codecs of rows, markers and states lose nothing, whatever the numbers and names."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tables.model.names import MARKER_KEY, STATE_KEY
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

numbers = st.integers(0, 2**63 - 1)
small = st.integers(0, 2**40)
reasons = st.dictionaries(st.text(max_size=8), small, max_size=3)


@st.composite
def accounted(draw: st.DrawFn) -> Totals:
    """Totals that add up."""
    counted, skipped, dead_lettered = draw(small), draw(reasons), draw(reasons)
    records = counted + sum(skipped.values()) + sum(dead_lettered.values())
    return Totals(records, counted, draw(small), skipped, dead_lettered, draw(reasons))


@st.composite
def true_markers(draw: st.DrawFn) -> Marker:
    """Markers before the first flush, at any offset."""
    origin, text = draw(small), st.text()
    return Marker(
        topic=draw(text),
        profile=draw(text),
        origin=origin,
        position=origin + draw(small),
        topic_id=draw(text),
        changelog_id=draw(text),
    )


totals, markers = accounted(), true_markers()


@given(st.lists(numbers), numbers)
def test_rows_come_back(counts: list[int], upto: int) -> None:
    rows = pack_rows(np.array(counts, np.int64), upto)
    assert rows == [pack_row(count, upto) for count in counts]
    assert [unpack_row(row) for row in rows] == [(count, upto) for count in counts]
    assert unpack_rows(rows).tolist() == [[count, upto] for count in counts]


@given(numbers, numbers, numbers, numbers)
def test_rows_compare_by_their_upto_as_bytes(
    count: int, upto: int, other_count: int, other_upto: int
) -> None:
    left, right = pack_row(count, upto), pack_row(other_count, other_upto)
    assert (left[8:] >= right[8:]) == (upto >= other_upto)


@given(markers, st.lists(st.tuples(small, totals), max_size=4))
def test_a_marker_comes_back_with_the_sum_of_its_totals(
    marker: Marker, flushes: list[tuple[int, Totals]]
) -> None:
    sum_of_all = Totals()
    for offsets, brought in flushes:
        marker = marker.advanced(marker.position + offsets, brought)
        sum_of_all += brought
    assert decode_marker(encode_marker(marker)) == marker
    assert (marker.records, marker.counted, marker.words) == (
        sum_of_all.records,
        sum_of_all.counted,
        sum_of_all.words,
    )
    assert dict(marker.skipped) == dict(sum_of_all.skipped)
    assert dict(marker.dead_lettered) == dict(sum_of_all.dead_lettered)
    assert dict(marker.dropped_words) == dict(sum_of_all.dropped_words)


@given(st.none() | markers, small, small)
def test_a_state_comes_back(marker: Marker | None, examined: int, ahead: int) -> None:
    state = StoreState(marker=marker, examined=examined, max_upto=ahead)
    assert decode_state(encode_state(state)) == state


@given(st.binary())
def test_bytes_that_are_no_state_are_none_or_a_state(value: bytes) -> None:
    state = decode_state(value)
    assert state is None or decode_state(encode_state(state)) == state


@given(st.text())
def test_no_word_is_a_key_of_ours_and_all_sort_before_the_state(text: str) -> None:
    word = text.encode("utf-8", "replace")
    assert word < MARKER_KEY < STATE_KEY
