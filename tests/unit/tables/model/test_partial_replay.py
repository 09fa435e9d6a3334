"""Records are counted again without the words whose rows already contain them."""

import numpy as np
import pyarrow as pa
import pytest

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from tables.model.partial_replay import tally_beyond
from tables.model.records import RecordBatch

TALLY = RecordTally(tokenizer("whitespace"), value_format("text", ""), Policies())


def batch(records: dict[int, bytes], first: int, next_offset: int) -> RecordBatch:
    dense = len(records) == next_offset - first
    offsets = None if dense else np.array(list(records), np.int64)
    return RecordBatch(pa.array(list(records.values()), pa.binary()), first, next_offset, offsets)


def counted(ahead: dict[bytes, int], *batches: RecordBatch) -> dict[bytes, int]:
    tally = tally_beyond(ahead, TALLY, batches)
    assert tally.totals == TALLY(batches).totals
    return dict(zip(tally.word_list(), tally.counts.tolist(), strict=True))


WHOLE = batch({5: b"a b", 6: b"a c", 7: b"a"}, 5, 8)


@pytest.mark.parametrize(
    ("ahead", "counts"),
    [
        ({}, {b"a": 3, b"b": 1, b"c": 1}),
        ({b"a": 5}, {b"a": 3, b"b": 1, b"c": 1}),
        ({b"a": 6}, {b"a": 2, b"b": 1, b"c": 1}),
        ({b"a": 7, b"c": 6}, {b"a": 1, b"b": 1, b"c": 1}),
        ({b"a": 8, b"c": 7}, {b"b": 1}),
        ({b"a": 99, b"b": 8, b"c": 8}, {}),
    ],
)
def test_a_word_is_counted_from_the_end_of_its_row_on(
    ahead: dict[bytes, int], counts: dict[bytes, int]
) -> None:
    assert counted(ahead, WHOLE) == counts
    assert counted(ahead, *WHOLE.single_records()) == counts


@pytest.mark.parametrize("upto", [6, 7, 8, 9])
def test_a_row_may_end_among_offsets_without_a_record(upto: int) -> None:
    holes = batch({5: b"a", 9: b"a", 12: b"a"}, 4, 15)
    assert counted({b"a": upto}, holes) == {b"a": 2}
    assert counted({b"a": 4}, holes) == {b"a": 3}
    assert counted({b"a": upto + 3}, holes) == ({b"a": 1} if upto > 6 else {b"a": 2})
    assert counted({b"a": 13}, holes) == counted({b"a": 14}, holes) == {}


def test_a_batch_without_records_is_passed_over() -> None:
    empty = batch({}, 3, 8)
    assert counted({b"a": 5}, empty) == {}
    assert counted({b"a": 5}, empty, batch({8: b"a"}, 8, 9)) == {b"a": 1}
