"""Times in lines: where they are found, which value is sent, and what is said about a line without a usable time."""

from __future__ import annotations

import pytest

from app.produce.event_times import time_place, timed
from app.produce.text_files import LineBlock
from tables.errors import BadRequestError, ConfigurationError

LONGEST_BYTES = 1000


def sent(flag: str, *lines: bytes, oldest_ms: int = 0) -> list[tuple[bytes, int]]:
    """(value, time) of each line."""
    place = time_place(flag)
    blocks = [LineBlock("texts", 41, lines)]
    return [
        pair
        for block in timed(blocks, place, longest_bytes=LONGEST_BYTES, oldest_ms=oldest_ms)
        for pair in zip(block.lines, block.times_ms or (), strict=True)
    ]


def refused(flag: str, line: bytes, *, oldest_ms: int = 0) -> BadRequestError:
    """The error about `line`, between good lines, of which the first is sent and the last is not."""
    good = (
        b'{"time":"2024-05-06T12:00:00Z"}' if flag.startswith("/") else b"2024-05-06T12:00:00Z\t" * int(flag)
    )
    place = time_place(flag)
    found = []
    with pytest.raises(BadRequestError) as raised:
        for block in timed(
            [LineBlock("texts", 41, [good, line, good])],
            place,
            longest_bytes=LONGEST_BYTES,
            oldest_ms=oldest_ms,
        ):
            found += block.lines
    assert len(found) == 1
    assert raised.value.message.startswith("texts, line 42")
    assert raised.value.remedy.endswith("the lines before it were sent")
    return raised.value


def test_a_json_line_is_sent_whole_with_the_time_at_the_pointer() -> None:
    lines = [
        b'{"a": {"b": [0.5]}, "text": "one"}',
        b' {"a":{"b":["1970-01-02"]}}',
        b'{"a":{"b":[1700000000123]}}',
    ]
    assert sent("/a/b/0", *lines) == list(zip(lines, [500, 86_400_000, 1_700_000_000_123], strict=True))


@pytest.mark.parametrize(
    ("column", "line", "value"),
    [
        ("1", b"5\tone two\tthree", b"one two\tthree"),
        ("2", b"one two\t5\tthree\t", b"one two\tthree\t"),
        ("3", b"one two\t\xff\t5", b"one two\t\xff"),
        ("1", b"5", b""),
        ("1", b"5\t", b""),
        ("2", b"\t5", b""),
    ],
)
def test_a_column_is_the_time_of_the_others(column: str, line: bytes, value: bytes) -> None:
    assert sent(column, line) == [(value, 5000)]


def test_every_block_keeps_its_place_in_the_file() -> None:
    place = time_place("1")
    blocks = [LineBlock("a", 1, [b"1\tx", b"2\ty"]), LineBlock("b", 7, [b"3\tz"])]
    assert list(timed(blocks, place, longest_bytes=LONGEST_BYTES)) == [
        LineBlock("a", 1, [b"x", b"y"], [1000, 2000]),
        LineBlock("b", 7, [b"z"], [3000]),
    ]


@pytest.mark.parametrize(
    ("flag", "line", "what"),
    [
        ("/time", b"", "the line is not JSON"),
        ("/time", b'{"time":5} {}', "the line is not JSON"),
        ("/time", b'{"text":"one"}', "nothing is at /time"),
        ("/time", b'{"time":null}', "null at /time is no time"),
        ("/time", b'{"time":true}', "true at /time is no time"),
        ("/time", b'{"time":{"s":5}}', "an object at /time is no time"),
        ("/time", b'{"time":' + b"[" * 400 + b"]" * 400 + b"}", "an array at /time is no time"),
        ("/time", b'{"time":"soon"}', '"soon" at /time is no time'),
        ("/time", b'{"time":"%b"}' % (b"x" * 500), f'"{"x" * 59}… at /time is no time'),
        ("/time", b'{"time":"\\ud800"}', '"\\ud800" at /time is no time'),
        ("/time", b'{"time":-1}', "-1 at /time is before 1970, and Kafka has no such times"),
        ("/time", b'{"time":-0.001}', "-0.001 at /time is before 1970, and Kafka has no such times"),
        ("2", b"5", "the line has no column 2; its columns are 1"),
        ("2", b"5\t", '"" in column 2 is no time'),
        ("2", b"5\t\xff", '"\ufffd" in column 2 is no time'),
    ],
)
def test_a_line_without_a_usable_time_is_named_with_what_was_found(flag: str, line: bytes, what: str) -> None:
    assert refused(flag, line).message == f"texts, line 42: {what}"


def test_a_time_that_the_topic_does_not_keep_is_refused_with_the_setting() -> None:
    assert sent("1", b"5\tx", oldest_ms=5000) == [(b"x", 5000)]
    error = refused("1", b"4.999\tx", oldest_ms=5000)
    assert error.message == 'texts, line 42: "4.999" in column 1 is longer ago than the topic keeps records'
    assert "retention.ms" in error.remedy


@pytest.mark.parametrize(
    ("flag", "line"), [("1", b"5\t" + b"x" * 999), ("/time", b'{"time":5,"text":"' + b"x" * 999)]
)
def test_a_line_that_may_be_incomplete_is_too_long_also_if_its_value_is_not(flag: str, line: bytes) -> None:
    assert refused(flag, line).message.startswith("texts, line 42 is longer than 1,000 bytes")


def test_the_first_bad_line_is_the_one_that_is_told() -> None:
    place = time_place("1")
    blocks = [LineBlock("texts", 1, [b"soon\tx", b"5\t" + b"x" * LONGEST_BYTES])]
    with pytest.raises(BadRequestError, match="line 1: "):
        list(timed(blocks, place, longest_bytes=LONGEST_BYTES))


@pytest.mark.parametrize("flag", ["", "0", "-1", "1.5", "01", "١", "1000000", "time", "now ", "/a~", "/a~2"])
def test_what_names_no_place_is_refused(flag: str) -> None:
    with pytest.raises(ConfigurationError, match=f'--timestamps "{flag}" is'):
        time_place(flag)
