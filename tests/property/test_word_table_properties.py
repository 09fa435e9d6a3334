"""A word table answers as a dict does, whatever the words are and however they were added."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tables.cache.word_table import NO_ID, SHORT_BYTES, WordTable

WORDS = st.one_of(
    st.binary(max_size=SHORT_BYTES),
    st.text("ab\0\x7f", max_size=SHORT_BYTES).map(str.encode),
    st.integers(0, 7).map(lambda length: b"internat" + b"i" * length),
)
PARTS = st.lists(st.lists(WORDS, max_size=30, unique=True), max_size=6)


@given(PARTS, st.lists(WORDS, unique=True), st.integers(1, 40))
def test_what_was_added_is_found_and_nothing_else(
    parts: list[list[bytes]], others: list[bytes], gap: int
) -> None:
    table, truth = WordTable(), dict[bytes, int]()
    for part in parts:
        new = [word for word in part if word not in truth]
        ids = np.arange(len(new)) + gap + (max(truth.values()) if truth else 0)
        table.add(pa.array(new, pa.binary()), ids)
        truth |= dict(zip(new, ids.tolist(), strict=True))
    asked = [b"sliced away", *others, *truth]
    found = table.find(pa.array(asked, pa.binary())[1:]).tolist()
    assert found == [truth.get(word, NO_ID) for word in asked[1:]]
    assert [table.id_of(word) for word in asked[1:]] == [truth.get(word) for word in asked[1:]]
    assert table.words_of(np.array(list(truth.values()), np.int64)) == list(truth)
