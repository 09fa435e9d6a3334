"""Ids of records: the same request has the same ids in the same partition, and nothing else has."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from app.produce.record_ids import ID_BYTES, partition_of, record_ids

KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=5)


def test_an_id_is_the_hash_that_the_counting_side_was_promised() -> None:
    triple = b"\x00\x00\x00\x05key-1" + b"\x00\x00\x00\x04\x00\x00\x00\x01" + b"\x00\x00\x00\x02\xc3\xa9"
    assert list(record_ids("key-1", ["a", "é"]))[1] == hashlib.sha256(triple).digest()[:16]
    assert partition_of("key-1", 7) == int(hashlib.sha256(b"key-1").hexdigest(), 16) % 7


@given(key=KEYS, texts=TEXTS)
def test_texts_of_a_request_have_different_ids_and_always_the_same(key: str, texts: list[str]) -> None:
    ids = list(record_ids(key, texts))
    assert ids == list(record_ids(key, iter(texts)))
    assert len(set(ids)) == len(texts)
    assert {len(one) for one in ids} <= {ID_BYTES}


@given(one=st.tuples(KEYS, TEXTS), other=st.tuples(KEYS, TEXTS))
def test_another_key_place_or_text_has_another_id(
    one: tuple[str, list[str]], other: tuple[str, list[str]]
) -> None:
    triples = [
        {
            (key, number, text): found
            for number, (text, found) in enumerate(zip(texts, record_ids(key, texts), strict=True))
        }
        for key, texts in (one, other)
    ]
    together = triples[0] | triples[1]
    assert len(set(together.values())) == len(together)


def test_keys_spread_over_all_partitions() -> None:
    assert {partition_of(f"key-{number}", 8) for number in range(200)} == set(range(8))
