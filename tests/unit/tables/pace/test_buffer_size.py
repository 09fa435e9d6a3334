"""How large a full buffer is."""

from __future__ import annotations

from tables.pace.buffer_size import (
    FIRST_BYTES,
    FIRST_WINDOWED_BYTES,
    FULL_PANES,
    FULL_ROWS,
    LEAST_BYTES,
    BufferSize,
)
from tables.pace.memory import DEFAULT_BYTES, memory_bounds

MOST_BYTES = 8 * FIRST_BYTES


def test_buffers_grow_up_to_the_largest() -> None:
    size = BufferSize(MOST_BYTES)
    sizes = []
    for _ in range(5):
        sizes.append(size.full_bytes // FIRST_BYTES)
        size.taken(size.full_bytes)
    assert sizes == [1, 2, 4, 8, 8]


def test_buffers_that_are_not_full_are_no_reason_for_larger_ones() -> None:
    size = BufferSize(MOST_BYTES)
    size.taken(FIRST_BYTES - 1)
    assert size.full_bytes == FIRST_BYTES


def test_a_largest_buffer_below_the_first_one_is_the_first_one() -> None:
    size = BufferSize(1024)
    assert size.full_bytes == 1024
    size.taken(1024)
    size.flushed(1024, 1024)
    assert size.full_bytes == 1024


def test_many_distinct_words_make_smaller_buffers_and_fewer_larger_ones_again() -> None:
    size = _grown()
    size.flushed(MOST_BYTES, 2 * FULL_ROWS)
    assert size.full_bytes == MOST_BYTES // 2
    size.flushed(MOST_BYTES // 2, FULL_ROWS // 2)
    size.taken(MOST_BYTES // 2)
    assert size.full_bytes == MOST_BYTES


def test_rows_of_windows_make_smaller_buffers_only_where_memory_has_no_room() -> None:
    size = _grown()
    size.bound(memory_bounds(DEFAULT_BYTES, 8))
    size.flushed(MOST_BYTES, FULL_ROWS // 3, FULL_ROWS * 2 // 3)
    assert size.full_bytes == MOST_BYTES
    size.flushed(MOST_BYTES, FULL_ROWS, FULL_ROWS * 2)
    assert MOST_BYTES // 2 < size.full_bytes < MOST_BYTES


def test_new_ids_of_records_make_smaller_buffers() -> None:
    size = _grown()
    size.bound(memory_bounds(DEFAULT_BYTES, 8))
    size.flushed(MOST_BYTES, 0, ids=FULL_ROWS)
    assert MOST_BYTES // 2 < size.full_bytes < MOST_BYTES
    size.flushed(MOST_BYTES, 0, ids=16 * FULL_ROWS)
    assert size.full_bytes == FIRST_BYTES


def test_buffers_do_not_get_too_small_to_tell_how_often_words_repeat() -> None:
    size = _grown()
    size.flushed(FIRST_BYTES, 100 * FULL_ROWS)
    assert size.full_bytes == FIRST_BYTES


def test_a_small_buffer_says_nothing() -> None:
    size = _grown()
    size.flushed(1000, 1000)
    assert size.full_bytes == MOST_BYTES


def test_a_buffer_without_any_word_is_no_reason_for_small_ones() -> None:
    size = _grown()
    size.flushed(MOST_BYTES, 0)
    assert size.full_bytes == MOST_BYTES


def test_old_text_with_a_window_for_each_record_makes_small_buffers_from_the_first_on() -> None:
    size = BufferSize(MOST_BYTES, windowed=True)
    assert size.full_bytes == FIRST_WINDOWED_BYTES
    size.taken(FIRST_WINDOWED_BYTES)
    records = FIRST_WINDOWED_BYTES // 8
    size.flushed(FIRST_WINDOWED_BYTES, 100, records, records)
    assert size.full_bytes == FULL_PANES * 8
    size.taken(size.full_bytes)
    assert size.full_bytes == FULL_PANES * 8
    size.flushed(FULL_PANES * 8, 100, 10 * FULL_PANES, 10 * FULL_PANES)
    assert size.full_bytes == LEAST_BYTES


def test_buffers_grow_again_when_records_are_in_fewer_windows() -> None:
    size = _grown()
    size.flushed(MOST_BYTES, 100, FULL_PANES * 16, FULL_PANES * 16)
    assert size.full_bytes == MOST_BYTES // 16
    for _ in range(10):
        size.taken(size.full_bytes)
        size.flushed(size.full_bytes, 100, 200, 2)
    assert size.full_bytes == MOST_BYTES


def _grown() -> BufferSize:
    size = BufferSize(MOST_BYTES)
    for _ in range(3):
        size.taken(size.full_bytes)
    return size
