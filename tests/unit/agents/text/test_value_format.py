"""Where the text of a value is found, and what is said where there is none."""

import math

import pyarrow as pa
import pytest

from agents.text.times import MISSING_MS, UNREADABLE_MS
from agents.text.value_format import (
    INVALID_JSON,
    MISSING_TEXT,
    JsonFormat,
    UnreadableError,
    decoded,
    value_format,
)

# The document and pointers of RFC 6901, section 5, with strings for numbers.
RFC_DOCUMENT = rb'{"foo":["bar","baz"],"":"0","a/b":"1","c%d":"2","e^f":"3","g|h":"4","i\\j":"5","k\"l":"6"," ":"7","m~n":"8"}'


@pytest.mark.parametrize(
    ("pointer", "text"),
    [
        ("/foo/0", "bar"),
        ("/foo/1", "baz"),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ('/k"l', "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ],
)
def test_pointers_of_rfc_6901_find_their_text(pointer: str, text: str) -> None:
    found = value_format("json", pointer)
    assert isinstance(found, JsonFormat)
    assert found.text_of(RFC_DOCUMENT) == text
    assert found.identity == f"json:{pointer}"


def test_a_tilde_escape_is_read_once() -> None:
    found = value_format("json", "/~01")
    assert isinstance(found, JsonFormat)
    assert found.text_of(b'{"~1": "tilde one", "/": "slash"}') == "tilde one"


@pytest.mark.parametrize(
    ("value", "pointer", "reason"),
    [
        (b"", "", INVALID_JSON),
        (b'"a" "b"', "", INVALID_JSON),
        (b'{"a": NaN}', "/a", INVALID_JSON),
        (b'"a\x01"', "", INVALID_JSON),
        (b'\xef\xbb\xbf\xef\xbb\xbf"a"', "", INVALID_JSON),
        (b'"a"\xef\xbb\xbf', "", INVALID_JSON),
        (b'["a", 1e400, NaN]', "/0", INVALID_JSON),
        (b'["a", 1e400, -Infinity]', "/0", INVALID_JSON),
        (b'["a", 1e400, 01]', "/0", INVALID_JSON),
        (b'["a", 1e400, 1.]', "/0", INVALID_JSON),
        (b'["a", 1e400', "/0", INVALID_JSON),
        (b'["a", 1e400]', "/1", MISSING_TEXT),
        (b'"\\ud800', "", INVALID_JSON),
        (b'"\\ud800 \\x"', "", INVALID_JSON),
        (b'"\xff"', "", INVALID_JSON),
        (b'["\\ud800", "\xff"]', "/0", INVALID_JSON),
        (b"[" * 100_000, "", INVALID_JSON),
        (b'["\\ud800", ' + b"[" * 100_000, "", INVALID_JSON),
        (b"7", "", MISSING_TEXT),
        (b"null", "", MISSING_TEXT),
        (b'{"a": null}', "/a", MISSING_TEXT),
        (b'{"a": "text"}', "", MISSING_TEXT),
        (b'{"a": "text"}', "/b", MISSING_TEXT),
        (b'{"a": "text"}', "/a/0", MISSING_TEXT),
        (b'["text"]', "/1", MISSING_TEXT),
        (b'["text"]', "/-", MISSING_TEXT),
        (b'["text"]', "/00", MISSING_TEXT),
        (b'["text"]', "/" + "9" * 5000, MISSING_TEXT),
        (b'["text"]', "/\u0660", MISSING_TEXT),
    ],
)
def test_a_value_without_text_says_why(value: bytes, pointer: str, reason: str) -> None:
    found = value_format("json", pointer)
    assert isinstance(found, JsonFormat)
    with pytest.raises(UnreadableError) as unreadable:
        found.text_of(value)
    assert unreadable.value.reason == reason


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud800"', "\ufffd"),
        (rb'"\uD800\uDBFFa"', "\ufffd\ufffda"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud800\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\\ud800 \\\ud800"', "\\ud800 \\\ufffd"),
        (rb'"\ud800\u0041\n"', "\ufffdA\n"),
    ],
)
def test_half_a_surrogate_pair_is_replaced(value: bytes, text: str) -> None:
    assert JsonFormat().text_of(value) == text


def test_a_decoded_number_is_itself_also_beside_text_that_is_not_sound() -> None:
    document = decoded(b'{"t":"\\ud800","n":[1700000000123456789,0.5,-2,1e999],"far":%b}' % (b"9" * 5000))
    assert document == {"t": "\ud800", "n": [1_700_000_000_123_456_789, 0.5, -2, math.inf], "far": math.inf}


@pytest.mark.parametrize(
    "number",
    [
        *(b"1e400", b"-1e400", b"1E+99999999999999999999", b"1e-99999999999999999999"),
        *(b"7" * 5000, b"-" + b"7" * 100_000, b"7" * 5000 + b".5e3", b"0." + b"7" * 5000),
    ],
    ids=lambda number: number[:24].decode(),
)
def test_a_number_of_any_size_is_json(number: bytes) -> None:
    document = b'{"n":[%b],"t":"text \\ud800","m":%b}' % (number, number)
    assert JsonFormat(("t",)).text_of(document) == "text \ufffd"


def test_a_byte_order_mark_before_the_document_is_left_out() -> None:
    assert JsonFormat(("t",)).text_of(b'\xef\xbb\xbf {"t":"\xef\xbb\xbftext"}') == "\ufefftext"


def test_texts_are_in_the_order_of_the_values_with_a_null_where_there_is_none() -> None:
    values = ['{"t":"a"}', "{", '{"t":1}', '{"t":"b"}'] * 1500
    found = value_format("json", "/t").texts(pa.array(values))
    assert found.texts.to_pylist() == ["a", None, None, "b"] * 1500
    assert list(found.unreadable) == [
        (index, reason)
        for start in range(0, 6000, 4)
        for index, reason in ((start + 1, INVALID_JSON), (start + 2, MISSING_TEXT))
    ]


def test_a_document_is_read_once_for_its_text_and_its_time() -> None:
    values = [
        '{"t":"a","at":"1970-01-02T00:00:00Z"}',
        "{",
        '{"t":1,"at":1}',
        '{"t":"b","at":null}',
        '{"t":"c"}',
        '{"t":"d","at":[1]}',
    ]
    found = value_format("json", "/t").texts(pa.array(values * 1500), ["at"])
    assert found.texts.to_pylist() == ["a", None, None, "b", "c", "d"] * 1500
    assert found.times is not None
    assert (
        found.times.tolist()
        == [86_400_000, UNREADABLE_MS, 1000, MISSING_MS, MISSING_MS, UNREADABLE_MS] * 1500
    )
    assert value_format("json", "/t").texts(pa.array(values)).times is None
    none = value_format("json", "/t").texts(pa.array([], pa.string()), ["at"]).times
    assert none is not None
    assert len(none) == 0


def test_text_is_the_value_itself() -> None:
    values = pa.array(["a b", ""])
    found = value_format("text")
    assert found.texts(values).texts is values
    assert found.identity == "text"
