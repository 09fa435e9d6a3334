"""Words are sorted as Python sorts bytes, however long they are and whatever their prefixes share."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.model.word_order import byte_order

WORDS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.text("ab\0\x7f\x80é", max_size=12).map(str.encode),
        st.integers(0, 40).map(lambda length: b"internationally"[:8] + b"x" * length),
    ),
    unique=True,
)


@given(WORDS, st.integers(0, 3), st.integers(0, 3))
def test_words_are_sorted_as_bytes_are(words: list[bytes], before: int, after: int) -> None:
    whole = pa.array([b"zzz"] * before + words + [b"aaaaaaaaa"] * after, pa.binary())
    part = whole.slice(before, len(words))
    assert part.take(pa.array(byte_order(part))).to_pylist() == sorted(words)


@pytest.mark.parametrize("words", [[], [b""], [b"", b"\0"], [b"a\0", b"a", b"", b"a\0\0"]])
def test_no_words_and_words_of_no_bytes(words: list[bytes]) -> None:
    array = pa.array(words, pa.binary())
    assert array.take(pa.array(byte_order(array))).to_pylist() == sorted(words)
