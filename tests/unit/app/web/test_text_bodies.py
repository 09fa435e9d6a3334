"""Bodies with texts: each form has the texts that were put in, and what has no texts is refused and says where."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.problems import TooLargeError
from app.web.text_bodies import MOST_TEXTS, texts_of
from tables.errors import BadRequestError

JSON, NDJSON, PLAIN = "application/json", "application/x-ndjson", "text/plain"
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=10)


@given(texts=TEXTS, ascii_only=st.booleans())
def test_texts_of_json_come_as_they_are(texts: list[str], ascii_only: bool) -> None:
    body = json.dumps({"texts": texts}, ensure_ascii=ascii_only).encode()
    assert texts_of(body, JSON) == texts


@given(texts=TEXTS, ascii_only=st.booleans(), end=st.sampled_from(["", "\n", "\r\n", "\n \n\n"]))
def test_texts_of_lines_of_json_come_as_they_are(texts: list[str], ascii_only: bool, end: str) -> None:
    lines = [
        json.dumps({"text": text} if number % 2 else text, ensure_ascii=ascii_only)
        for number, text in enumerate(texts)
    ]
    assert texts_of("\n".join(lines).encode() + end.encode(), NDJSON) == texts


@given(texts=TEXTS, line_end=st.sampled_from(["\n", "\r\n"]), ends=st.booleans())
def test_a_line_is_a_text(texts: list[str], line_end: str, ends: bool) -> None:
    lines = [text.replace("\n", "").removesuffix("\r") for text in texts]
    body = line_end.join(lines) + (line_end if ends or not lines[-1] else "")
    assert texts_of(body.encode(), PLAIN) == lines


def test_other_ends_of_lines_end_no_text() -> None:
    assert texts_of("a\u2028b\rc\x0bd\x00\n\ne".encode(), PLAIN) == ["a\u2028b\rc\x0bd\x00", "", "e"]


@pytest.mark.parametrize(
    ("media_type", "body", "said"),
    [
        (JSON, b"", "not JSON"),
        (JSON, b"[]", "not as it has to be"),
        (JSON, b'{"texts": "a"}', "not as it has to be"),
        (JSON, b'{"texts": [1]}', "not as it has to be"),
        (JSON, b'{"texts": [null]}', "not as it has to be"),
        (JSON, b'{"texts": ["a"], "key": "b"}', "not as it has to be"),
        (JSON, b'{"texts": ["\\ud800"]}', "not JSON"),
        (JSON, b'{"texts": ["\xff"]}', "not"),
        (JSON, b'{"texts": ["a"]} x', "not JSON"),
        (JSON, b'{"texts":' + b"[" * 100_000, "not"),
        (JSON, b'{"texts": []}', "has no text"),
        (NDJSON, b'"a"\n{"text": 1}\n', "line 2"),
        (NDJSON, b'"a"\n\n{"texts": ["a"]}\n', "line 3"),
        (NDJSON, b'"a"\n"b', "line 2"),
        (NDJSON, b'"\xff"\n', "line 1"),
        (NDJSON, b"[" * 100_000, "line 1"),
        (NDJSON, b"plain\n", "line 1"),
        (NDJSON, b"\n \n", "has no text"),
        (PLAIN, b"a\nb\xff\n", "line 2"),
        (PLAIN, b"\xed\xa0\x80", "line 1"),
        (PLAIN, b"", "has no text"),
    ],
)
def test_a_mistake_is_named_and_its_place(media_type: str, body: bytes, said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        texts_of(body, media_type)


@pytest.mark.parametrize("media_type", [JSON, NDJSON, PLAIN])
def test_the_number_of_texts_has_a_bound(media_type: str) -> None:
    def body(count: int) -> bytes:
        if media_type == JSON:
            return json.dumps({"texts": [""] * count}).encode()
        return (b'""\n' if media_type == NDJSON else b"a\n") * count

    assert len(texts_of(body(MOST_TEXTS), media_type)) == MOST_TEXTS
    with pytest.raises(TooLargeError, match=f"more than {MOST_TEXTS} texts"):
        texts_of(body(MOST_TEXTS + 1), media_type)


@given(body=st.binary(max_size=200), media_type=st.sampled_from([JSON, NDJSON, PLAIN]))
def test_any_bytes_are_texts_or_a_mistake(body: bytes, media_type: str) -> None:
    try:
        texts = texts_of(body, media_type)
    except BadRequestError:
        return
    assert all(text.encode() is not None for text in texts)
