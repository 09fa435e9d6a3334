"""What each policy does to records and words, and that every record is accounted for."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from tables.model.records import DeadLetter, RecordBatch
from tables.model.tally import Tally, Totals


def batch(*values: bytes | None, first_offset: int = 0) -> RecordBatch:
    return RecordBatch(pa.array(values, pa.binary()), first_offset, first_offset + len(values))


def tally(
    *batches: RecordBatch,
    profile: str = "whitespace",
    value: str = "text",
    pointer: str = "",
    **policies: object,
) -> Tally:
    return RecordTally(tokenizer(profile), value_format(value, pointer), Policies(**policies))(batches)


def words(result: Tally) -> dict[bytes, int]:
    return dict(zip(result.words.to_pylist(), result.counts.tolist(), strict=True))


def letters(result: Tally) -> Sequence[DeadLetter]:
    return list(result.dead_letters)


def test_words_are_counted_over_batches_and_sorted_by_bytes() -> None:
    result = tally(batch(b"b a", b""), batch("é b Z \U0001f600 \uff21".encode(), first_offset=2))
    assert result.words.type == pa.binary()
    assert result.words.to_pylist() == sorted(words(result))
    assert words(result) == {
        b"Z": 1,
        b"a": 1,
        b"b": 2,
        "é".encode(): 1,
        "\U0001f600".encode(): 1,
        "\uff21".encode(): 1,
    }
    assert result.counts.dtype == np.int64
    assert result.totals == Totals(records=3, counted=3, words=7)


def test_no_batches_have_an_empty_tally() -> None:
    result = tally()
    assert (len(result.words), len(result.counts), result.totals) == (0, 0, Totals())


def test_a_part_of_a_batch_is_tallied_without_the_rest() -> None:
    whole = batch(b"a \xff", b"b", b"c")
    rest = whole.starting_at(1)
    assert rest is not None
    result = tally(rest, on_invalid_utf8="dead_letter")
    assert words(result) == {b"b": 1, b"c": 1}
    assert result.totals == Totals(records=2, counted=2, words=2)


@pytest.mark.parametrize(
    ("policy", "totals", "dead"),
    [
        ("skip", Totals(records=3, counted=2, words=2, skipped={"null": 1}), []),
        ("count", Totals(records=3, counted=3, words=2), []),
        ("dead_letter", Totals(3, 2, 2, dead_lettered={"null": 1}), [DeadLetter(1, None, "null")]),
    ],
)
def test_a_record_without_a_value(policy: str, totals: Totals, dead: list[DeadLetter]) -> None:
    result = tally(batch(b"a", None, b"b"), on_null=policy)
    assert words(result) == {b"a": 1, b"b": 1}
    assert result.totals == totals
    assert letters(result) == dead


@pytest.mark.parametrize(
    ("policy", "counted", "totals", "dead"),
    [
        ("replace", {b"a": 1, "x\ufffdy".encode(): 1, b"b": 1}, Totals(3, 3, 3), []),
        ("skip", {b"a": 1, b"b": 1}, Totals(3, 2, 2, skipped={"invalid_utf8": 1}), []),
        (
            "dead_letter",
            {b"a": 1, b"b": 1},
            Totals(3, 2, 2, dead_lettered={"invalid_utf8": 1}),
            [DeadLetter(1, b"x\xffy", "invalid_utf8")],
        ),
    ],
)
def test_a_value_that_is_no_utf8(
    policy: str, counted: dict[bytes, int], totals: Totals, dead: list[DeadLetter]
) -> None:
    result = tally(batch(b"a", b"x\xffy", b"b"), on_invalid_utf8=policy)
    assert words(result) == counted
    assert result.totals == totals
    assert letters(result) == dead


def test_two_values_that_are_utf8_only_together_are_both_invalid() -> None:
    result = tally(batch(b"\xc3", b"\xa9"), on_invalid_utf8="skip")
    assert result.totals == Totals(2, 0, 0, skipped={"invalid_utf8": 2})


@pytest.mark.parametrize("invalid", [b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_replacement_reads_as_python_does(invalid: bytes) -> None:
    assert words(tally(batch(invalid))) == {invalid.decode("utf-8", "replace").encode(): 1}


def test_few_invalid_values_are_found_among_many() -> None:
    values = [b"a"] * 1000
    values[0] = values[499] = values[500] = values[999] = b"\xff"
    result = tally(batch(*values, first_offset=70), on_invalid_utf8="dead_letter")
    assert [letter.offset for letter in result.dead_letters] == [70, 569, 570, 1069]
    assert words(result) == {b"a": 996}


def test_offsets_of_dead_letters_are_those_of_the_log() -> None:
    compacted = RecordBatch(pa.array([b"a", None, b"b", None], pa.binary()), 5, 30, np.array([7, 9, 20, 21]))
    result = tally(batch(None, b"x", first_offset=3), compacted, on_null="dead_letter")
    assert letters(result) == [DeadLetter(offset, None, "null") for offset in (3, 9, 21)]


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
def test_values_without_text_are_accounted_for_by_reason(policy: str) -> None:
    bad = [b"{", b'{"t":1}', b"\xff", b"{}"]
    result = tally(
        batch(b'{"t":"a b"}', *bad, b'{"t":"b \\ud800"}'),
        value="json",
        pointer="/t",
        on_invalid_json=policy,
        on_missing_text=policy,
    )
    assert words(result) == {b"a": 1, b"b": 2, "\ufffd".encode(): 1}
    reasons = {"invalid_json": 2, "missing_text": 2}
    assert (result.totals.records, result.totals.counted) == (6, 2)
    assert result.totals.skipped == (reasons if policy == "skip" else {})
    assert result.totals.dead_lettered == (reasons if policy == "dead_letter" else {})
    assert [letter.value for letter in result.dead_letters] == (bad if policy == "dead_letter" else [])


def test_an_oversized_word_is_left_out_and_counted_as_dropped() -> None:
    result = tally(batch(b"aaaa aaaaa b", "éé ééé".encode(), b"aaaaa"), max_word_bytes=4)
    assert words(result) == {b"aaaa": 1, b"b": 1, "éé".encode(): 1}
    assert result.totals == Totals(3, 3, 3, dropped_words={"oversized": 3})


def test_a_record_with_an_oversized_word_is_dead_lettered_whole() -> None:
    result = tally(batch(b"a b", b"a aaaaa", b"aaaa"), max_word_bytes=4, on_oversized_word="dead_letter")
    assert words(result) == {b"a": 1, b"b": 1, b"aaaa": 1}
    assert result.totals == Totals(3, 2, 3, dead_lettered={"oversized_word": 1})
    assert letters(result) == [DeadLetter(1, b"a aaaaa", "oversized_word")]


def test_a_word_that_only_folding_makes_oversized_is_found() -> None:
    value = "\ufdfa".encode()
    longest = max(len(word.encode()) for word in tokenizer("unicode").tokens(value.decode()))
    assert longest > len(value)
    policies = {"profile": "unicode", "on_oversized_word": "dead_letter"}
    assert tally(batch(value), max_word_bytes=longest, **policies).totals.counted == 1
    assert tally(batch(value), max_word_bytes=longest - 1, **policies).totals.counted == 0


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
def test_a_record_that_is_too_large_follows_the_policy_whether_its_value_is_there_or_was_passed_over(
    policy: str,
) -> None:
    here = batch(b"aa", b"a" * 11, None, b"b" * 10)
    passed_over = RecordBatch(
        pa.array([b"aa", None, None], pa.binary()), 10, 20, np.array([11, 14, 15]), {14: 500}
    )
    result = tally(here, passed_over, max_record_bytes=10, on_oversized_record=policy)
    assert words(result) == {b"aa": 2, b"b" * 10: 1}
    assert result.totals == Totals(
        7,
        3,
        3,
        skipped={"null": 2} | ({"oversized_record": 2} if policy == "skip" else {}),
        dead_lettered={"oversized_record": 2} if policy == "dead_letter" else {},
    )
    expected = [DeadLetter(1, None, "oversized_record", 11), DeadLetter(14, None, "oversized_record", 500)]
    assert letters(result) == (expected if policy == "dead_letter" else [])
    part = passed_over.starting_at(12)
    assert part is not None
    assert tally(part, max_record_bytes=10).totals.dead_lettered == {"oversized_record": 1}
    single = [tally(one, max_record_bytes=10).totals.dead_lettered for one in passed_over.single_records()]
    assert single == [{}, {"oversized_record": 1}, {}]


def test_the_empty_word_is_counted_or_left_out() -> None:
    assert words(tally(batch(b" a", b"", b"  "), profile="java-s")) == {b"": 2, b"a": 1}
    result = tally(batch(b" a", b""), profile="java-s", on_empty_word="skip")
    assert words(result) == {b"a": 1}
    assert result.totals == Totals(2, 2, 1, dropped_words={"empty": 2})


def test_words_that_options_drop_are_totalled_by_reason() -> None:
    counting = RecordTally(
        tokenizer("whitespace", stop_words=["the"], min_length=2, max_length=3),
        value_format("text"),
        Policies(),
    )
    totals = counting([batch(b"the a ab abcd the")]).totals
    assert totals == Totals(1, 1, 1, dropped_words={"stop_word": 2, "too_short": 1, "too_long": 1})


def test_a_message_of_ten_megabytes_is_counted() -> None:
    result = tally(batch(b"word " * 2_000_000), profile="unicode")
    assert words(result) == {b"word": 2_000_000}


def test_identity_names_tokenizer_and_where_the_text_is() -> None:
    assert RecordTally(tokenizer("unicode"), value_format("text"), Policies()).identity == "unicode/2"
    counting = RecordTally(tokenizer("unicode"), value_format("json", "/a~1b"), Policies())
    assert counting.identity == "unicode/2 json:/a~1b"
