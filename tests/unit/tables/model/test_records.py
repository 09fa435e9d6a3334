"""Cutting and joining record batches and tallies."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from tables.model.records import DeadLetter, RecordBatch
from tables.model.tally import Tally, Totals, tally_of


def dense(first: int, *values: bytes | None) -> RecordBatch:
    return RecordBatch(pa.array(values, pa.binary()), first, first + len(values))


def sparse(first: int, next_offset: int, records: dict[int, bytes]) -> RecordBatch:
    return RecordBatch(
        pa.array(list(records.values()), pa.binary()), first, next_offset, np.array(list(records), np.int64)
    )


def records(batch: RecordBatch) -> dict[int, bytes]:
    return {batch.offset_of(i): value for i, value in enumerate(batch.values.to_pylist())}


def timed(batch: RecordBatch) -> RecordBatch:
    """Return `batch` with 1000 + its offset as the time of each record."""
    offsets = np.array([batch.offset_of(i) for i in range(batch.record_count)], np.int64)
    return dataclasses.replace(batch, times=1000 + offsets)


def times(batch: RecordBatch) -> dict[int, int]:
    assert batch.times is not None
    return {
        batch.offset_of(i): time_ms for i, time_ms in zip(range(batch.record_count), batch.times, strict=True)
    }


SPARSE = sparse(10, 20, {11: b"a", 14: b"b", 15: b"c"})


@pytest.mark.parametrize(
    "batch", [dense(10, *(b"%d" % i for i in range(10))), SPARSE], ids=["dense", "sparse"]
)
def test_a_batch_can_start_anywhere(batch: RecordBatch) -> None:
    for position in range(8, 23):
        rest = batch.starting_at(position)
        if position >= 20:
            assert rest is None
            continue
        assert rest is not None
        assert (rest.first_offset, rest.next_offset) == (max(10, position), 20)
        assert records(rest) == {o: v for o, v in records(batch).items() if o >= position}


@pytest.mark.parametrize(
    ("values", "first", "end", "offsets"),
    [
        ([b"a"], 0, 2, None),
        ([b"a", b"b"], 0, 1, None),
        ([b"a", b"b"], 0, 9, [3]),
        ([b"a", b"b"], 0, 9, [4, 3]),
        ([b"a", b"b", b"c"], 0, 9, [3, 3, 4]),
        ([b"a", b"b"], 3, 9, [2, 4]),
        ([b"a", b"b"], 3, 9, [3, 9]),
    ],
)
def test_records_that_are_not_of_their_offsets_are_a_mistake(
    values: list[bytes], first: int, end: int, offsets: list[int] | None
) -> None:
    with pytest.raises(AssertionError):
        RecordBatch(
            pa.array(values, pa.binary()),
            first,
            end,
            None if offsets is None else np.array(offsets, np.int64),
        )


def test_single_records_cover_the_batch_without_a_hole() -> None:
    for batch in (dense(3, b"x", b"y", b"z"), SPARSE, sparse(5, 9, {8: b"only"})):
        pieces = batch.single_records()
        assert [records(piece) for piece in pieces] == [{o: v} for o, v in records(batch).items()]
        ends = [piece.next_offset for piece in pieces]
        assert [piece.first_offset for piece in pieces] == [batch.first_offset, *ends[:-1]]
        assert ends[-1] == batch.next_offset


@pytest.mark.parametrize(
    "batch", [dense(10, *(b"%d" % i for i in range(10))), SPARSE], ids=["dense", "sparse"]
)
def test_every_record_keeps_its_time_where_a_batch_is_cut(batch: RecordBatch) -> None:
    whole = timed(batch)
    for position in range(8, 20):
        rest = whole.starting_at(position)
        assert rest is not None
        assert times(rest) == {offset: 1000 + offset for offset in records(batch) if offset >= position}
        plain = batch.starting_at(position)
        assert plain is not None
        assert plain.times is None
    assert [times(one) for one in whole.single_records()] == [
        {offset: 1000 + offset} for offset in records(batch)
    ]
    assert all(one.times is None for one in batch.single_records())


@pytest.mark.parametrize("count", [0, 2, 4])
def test_times_that_are_not_one_of_each_record_are_a_mistake(count: int) -> None:
    for batch in (dense(3, b"x", b"y", b"z"), SPARSE):
        with pytest.raises(AssertionError, match="times of not just the 3 records"):
            dataclasses.replace(batch, times=np.zeros(count, np.int64))


def test_times_are_among_the_bytes_that_a_batch_and_its_parts_keep_in_memory() -> None:
    plain = dense(0, *[b"x"] * 100)
    whole = dataclasses.replace(plain, times=np.zeros(100, np.int64))
    assert whole.byte_count == plain.byte_count + 800
    part = whole.starting_at(50)
    assert part is not None
    rest = part.starting_at(99)
    assert rest is not None
    assert part.byte_count == rest.byte_count == whole.byte_count
    assert all(one.byte_count == whole.byte_count for one in whole.single_records())


def test_the_bytes_of_a_part_are_those_that_it_keeps_in_memory() -> None:
    whole = dense(0, b"x" * 1000, b"y")
    part = whole.starting_at(1)
    assert part is not None
    assert 1000 < part.byte_count == whole.byte_count < 1500


def tally(words: dict[bytes, int], totals: Totals, *letters: DeadLetter) -> Tally:
    ordered = sorted(words)
    counts = np.array([words[word] for word in ordered], np.int64)
    return Tally(pa.array(ordered, pa.binary()), counts, totals, letters)


def test_few_words_are_brought_into_byte_order() -> None:
    words, counts = tally_of({b"b": 2, b"a": 1, b"\xc3\xa9": 7})
    assert (words.to_pylist(), counts.tolist()) == ([b"a", b"b", b"\xc3\xa9"], [1, 2, 7])
    words, counts = tally_of({})
    assert (words.type, counts.tolist()) == (pa.binary(), [])


def test_words_become_bytes_in_slices_of_any_length() -> None:
    words = {b"%05d" % i: 1 for i in range(5000)}
    assert tally(words, Totals()).word_list() == list(words)
    assert tally({}, Totals()).word_list() == []
