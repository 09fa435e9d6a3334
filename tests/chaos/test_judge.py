"""The judge of the trial of reads accepts what is right for its `as_of`, and catches an answer of each kind that is wrong."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tests.chaos.heard import Heard
from tests.chaos.history import History
from tests.chaos.judge import fault_of
from tests.chaos.replies import CSV, NDJSON, Question, Reply

PARTITIONS = 2
LOG = [
    (0, 0, b"a b c"),
    (1, 0, b"a b ab"),
    (0, 1, b"b"),
    (1, 1, None),
    (0, 2, b"b d"),
]
AS_OF = {0: 2, 1: 2}


def reply(
    question: Question, body: Mapping[str, Any], status: int = 200, as_of: Mapping[int, int] = AS_OF
) -> Reply:
    whole: dict[str, Any] = {"as_of": as_of, "complete": True, "missing_partitions": [], **body}
    return Reply(question, "worker-0", 1.0, 2.0, status, msgspec.json.encode(whole))


def told_by_header(question: Question, body: bytes, as_of: str = "0:2,1:2", status: int = 200) -> Reply:
    headers = {"wordcount-as-of": as_of, "wordcount-complete": "true"} if as_of else {}
    return Reply(question, "worker-0", 1.0, 2.0, status, body, headers)


def lines(
    *pairs: tuple[str, int],
    first: Mapping[int, int] = AS_OF,
    last: Mapping[int, int] = AS_OF,
    **others: Any,
) -> Reply:
    end = {
        "words": len(pairs),
        "first_as_of": first,
        "as_of": last,
        "complete": True,
        "missing_partitions": [],
        **others,
    }
    body = msgspec.json.Encoder().encode_lines(
        [{"word": word, "count": count} for word, count in pairs] + [end]
    )
    return Reply(NDJSON_DUMP, "worker-0", 1.0, 2.0, 200, body)


def words(*pairs: tuple[str, int]) -> dict[str, Any]:
    return {"words": [{"word": word, "count": count} for word, count in pairs]}


WORD = Question("word", "/v1/words/b", {}, ["b"])
ABSENT = Question("absent word", "/v1/words/d", {}, ["d"])
BATCH = Question("batch", "/v1/words:batch", {}, ["d", "a"])
PAGE = Question("page", "/v1/words", {"prefix": "a", "limit": 1})
NEXT = Question("page", "/v1/words", {"prefix": "a", "limit": 1}, (), "a")
TOP = Question("top 10", "/v1/top", {"k": 2})
EXACT_TOP = Question("exact top", "/v1/top", {"k": 2, "exact": "true"})
STATS = Question("stats", "/v1/stats", {})
OWN_WRITE = Question("own write", "/v1/words/b", {"after": "0:1", "wait_ms": 0}, ["b"], covers={0: 1})
NDJSON_DUMP = Question("NDJSON dump", "/v1/words", {"prefix": ""}, accept=NDJSON)
CSV_DUMP = Question("CSV dump", "/v1/words", {"prefix": "a"}, accept=CSV)
KEY_VALUE = Question("key value", "/state/keyvalue/word-count/b", {}, ["b"])
RANGE = Question("range", "/state/keyvalues/word-count/range/ab/c", {}, ["ab", "c"])
END = {0: 3, 1: 2}
"""The end of the log, which has one more "b", and the first "d"."""

EXACT = {"exact": True, "max_error": 0}
NOT_EXACT = {"exact": False, "max_error": 0}


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (WORD, [{"count": 3}], [{"count": 2}, {"count": 4}]),
        (ABSENT, [], [{"count": 1}]),
        (
            BATCH,
            [words(("d", 0), ("a", 2))],
            [words(("d", 1), ("a", 2)), words(("a", 2), ("d", 0)), words(("a", 2))],
        ),
        (
            PAGE,
            [words(("a", 2)) | {"next_cursor": "more"}],
            [
                words(("a", 2)) | {"next_cursor": None},
                words(("a", 1)) | {"next_cursor": "more"},
                words(("ab", 1)) | {"next_cursor": None},
            ],
        ),
        (NEXT, [words(("ab", 1)) | {"next_cursor": None}], [words() | {"next_cursor": None}]),
        (
            TOP,
            [words(("b", 3), ("a", 2)) | EXACT, words(("b", 3), ("ab", 1)) | NOT_EXACT | {"max_error": 1}],
            [
                words(("a", 2), ("b", 3)) | EXACT,
                words(("b", 3), ("a", 1)) | EXACT,
                words(("b", 3)) | EXACT,
                words(("b", 3), ("ab", 1)) | EXACT,
                words(("b", 3), ("ab", 1)) | NOT_EXACT,
                words(("ab", 1), ("b", 3)) | NOT_EXACT | {"max_error": 1},
            ],
        ),
        (
            EXACT_TOP,
            [words(("b", 3), ("a", 2)) | EXACT],
            [
                words(("b", 3), ("a", 2)) | NOT_EXACT,
                words(("b", 3), ("ab", 1)) | NOT_EXACT | {"max_error": 1},
                words(("b", 3), ("ab", 1)) | EXACT,
            ],
        ),
        (OWN_WRITE, [{"count": 3}], [{"count": 2}, {"count": 3, "as_of": {0: 1, 1: 2}}]),
        (STATS, [{"records": 4, "words": 7}], [{"records": 3, "words": 7}, {"records": 4, "words": 6}]),
    ],
)
def test_an_answer_is_judged_by_its_positions(
    question: Question, right: list[dict[str, Any]], wrong: list[dict[str, Any]]
) -> None:
    history = History(LOG)
    for body in right:
        assert not fault_of(reply(question, body), history, PARTITIONS)
        assert "not whole" in fault_of(reply(question, body, as_of={0: 2}), history, PARTITIONS)
        assert "not whole" in fault_of(reply(question, body | {"complete": False}), history, PARTITIONS)
    for body in wrong:
        assert fault_of(reply(question, body), history, PARTITIONS), body


def test_a_word_is_absent_only_before_its_first_record() -> None:
    history = History(LOG)
    assert not fault_of(reply(ABSENT, {}, 404), history, PARTITIONS)
    assert fault_of(reply(ABSENT, {}, 404, {0: 3, 1: 2}), history, PARTITIONS)


def test_a_record_that_was_waited_for_is_covered_or_said_to_be_not_yet_counted() -> None:
    history = History(LOG)

    def late(**as_of: int) -> Reply:
        body = msgspec.json.encode({"as_of": {number[1:]: position for number, position in as_of.items()}})
        return Reply(OWN_WRITE, "worker-0", 1.0, 2.0, 504, body)

    behind = {0: 1, 1: 2}
    assert "does not cover" in fault_of(reply(OWN_WRITE, {"count": 2}, as_of=behind), history, PARTITIONS)
    assert "does not cover" in fault_of(reply(OWN_WRITE, {}, 404, behind), history, PARTITIONS)
    assert late(_0=1).is_not_yet_counted
    assert not Reply(WORD, "worker-0", 1.0, 2.0, 504).is_not_yet_counted
    assert not fault_of(late(_0=1), history, PARTITIONS)
    assert not fault_of(late(), history, PARTITIONS)
    assert "is as of" in fault_of(late(_0=2), history, PARTITIONS)


def test_the_counts_of_a_long_list_lie_between_its_first_and_its_last_positions() -> None:
    history = History(LOG)
    at_once = [("a", 2), ("ab", 1), ("b", 3), ("c", 1)]
    for right in (
        lines(*at_once),
        lines(*at_once, last=END),
        lines(("a", 2), ("ab", 1), ("b", 4), ("c", 1), last=END),
        lines(*at_once, ("d", 1), last=END),
    ):
        assert not fault_of(right, history, PARTITIONS), right
    for wrong, says in (
        (lines(("a", 2), ("ab", 1), ("b", 4), ("c", 1)), "b is 4, the recount has 3"),
        (lines(("a", 2), ("ab", 1), ("b", 2), ("c", 1), last=END), "b is 2, the recount has 3 to 4"),
        (lines(("a", 2), ("ab", 1), ("b", 5), ("c", 1), last=END), "b is 5"),
        (lines(*at_once, ("d", 1)), "1 words do not occur, like ['d']"),
        (lines(*at_once, ("d", 0), last=END), "d is 0, the recount has 1"),
        (lines(*at_once[:3], last=END), "1 words are left out, like ['c']"),
        (lines(*at_once, first=END), "as of less than its first"),
        (lines(*at_once[::-1]), "not in order"),
        (lines(*at_once, at_once[-1]), "not in order"),
        (lines(*at_once, words=3), "number of words"),
        (lines(*at_once, last={0: 2}), "not whole"),
        (lines(*at_once, first={0: 2}), "not whole"),
        (lines(*at_once, complete=False), "not whole"),
        (lines(*at_once, missing_partitions=[1]), "not whole"),
    ):
        assert says in fault_of(wrong, history, PARTITIONS), wrong
    whole = lines(*at_once)
    broken = b'{"type":"urn:problem-type:wordcount:incomplete","status":503,"next_cursor":null}\n'
    for body, says in (
        (b"".join(whole.body.splitlines(keepends=True)[:-1]) + broken, "not whole"),
        (b"".join(whole.body.splitlines(keepends=True)[:-1]), "not whole"),
        (b"", "cannot be read"),
    ):
        assert says in fault_of(Reply(NDJSON_DUMP, "", 1, 2, 200, body), history, PARTITIONS), body


def test_a_list_that_names_only_its_first_positions_lies_between_these_and_the_end_of_the_log() -> None:
    history = History(LOG)
    csv, array = b"word,count\r\n%b", b'[{"key":"ab","value":1},{"key":"b","value":%d},{"key":"c","value":1}]'
    for right in (
        told_by_header(CSV_DUMP, csv % b"a,2\r\nab,1\r\n"),
        told_by_header(CSV_DUMP, csv % b"", as_of="0:0,1:0"),
        told_by_header(RANGE, array % 3),
        told_by_header(RANGE, array % 4),
        told_by_header(RANGE, array % 1, as_of="0:1,1:0"),
    ):
        assert not fault_of(right, history, PARTITIONS), right
    for wrong, says in (
        (told_by_header(CSV_DUMP, csv % b"a,1\r\nab,1\r\n"), "a is 1, the recount has 2"),
        (told_by_header(CSV_DUMP, csv % b"a,2\r\n"), "left out, like ['ab']"),
        (told_by_header(CSV_DUMP, csv % b"ab,1\r\na,2\r\n"), "not in order"),
        (told_by_header(CSV_DUMP, csv % b"a,2\r\nab,1\r\nb,3\r\n"), "1 words do not occur, like ['b']"),
        (told_by_header(CSV_DUMP, csv % b"a,2\r\nab,1\r\n", as_of="0:2"), "not whole"),
        (told_by_header(CSV_DUMP, csv % b"a\r\n"), "cannot be read"),
        (told_by_header(CSV_DUMP, b""), "cannot be read"),
        (told_by_header(RANGE, array % 2), "b is 2, the recount has 3 to 4"),
        (told_by_header(RANGE, array % 5), "b is 5"),
        (told_by_header(RANGE, b"[]"), "3 words are left out"),
        (told_by_header(RANGE, (array % 3)[:-9]), "cannot be read"),
        (
            told_by_header(RANGE, b'[{"key":"a","value":2},' + (array % 3)[1:]),
            "1 words do not occur, like ['a']",
        ),
    ):
        assert says in fault_of(wrong, history, PARTITIONS), wrong
    partial = Reply(CSV_DUMP, "", 1, 2, 200, csv % b"", {"wordcount-complete": "false"})
    assert "not whole" in fault_of(partial, history, PARTITIONS)


def test_a_value_is_exact_as_of_its_header_and_without_one_no_older_than_what_was_heard() -> None:
    history = History(LOG)
    body = b'{"key":"b","value":%d}'
    assert not fault_of(told_by_header(KEY_VALUE, body % 3), history, PARTITIONS)
    for wrong in (2, 4):
        assert fault_of(told_by_header(KEY_VALUE, body % wrong), history, PARTITIONS)
    for value in (1, 3, 4):
        assert not fault_of(told_by_header(KEY_VALUE, body % value, as_of=""), history, PARTITIONS, {0: 1})
    assert "3 to 4" in fault_of(told_by_header(KEY_VALUE, body % 2, as_of=""), history, PARTITIONS, AS_OF)
    assert "0 to 4" in fault_of(told_by_header(KEY_VALUE, body % 5, as_of=""), history, PARTITIONS)
    assert fault_of(reply(KEY_VALUE, {}, 404), history, PARTITIONS)
    assert not fault_of(reply(KEY_VALUE, {}, 404, {0: 0, 1: 0}), history, PARTITIONS)


def test_only_an_answer_that_was_asked_for_after_a_newer_one_falls() -> None:
    def at(sent_s: float, received_s: float, position: int) -> Reply:
        body = msgspec.json.encode({"as_of": {"0": position}})
        return Reply(STATS, "worker-0", sent_s, received_s, 200, body)

    newer, at_the_same_time, later = at(0, 1, 5), at(0.5, 2, 4), at(1.5, 3, 4)
    refused = Reply(STATS, "worker-1", 1.1, 1.2, 503)
    assert Heard([newer, at_the_same_time, refused]).fallen() == []
    assert Heard([later, at_the_same_time, newer]).fallen() == [(newer, later, 0)]
    assert Heard([refused]).fallen() == Heard([]).fallen() == []


def test_a_long_list_falls_by_its_first_positions_and_is_heard_by_its_last() -> None:
    def at(sent_s: float, received_s: float, first: int, last: int) -> Reply:
        body = msgspec.json.encode({"first_as_of": {"0": first}, "as_of": {"0": last}})
        return Reply(NDJSON_DUMP, "worker-0", sent_s, received_s, 200, body + b"\n")

    early, later = at(0, 1, 3, 7), at(1.5, 3, 5, 9)
    assert Heard([early, later]).fallen() == [(early, later, 0)]
    assert Heard([early, at(1.5, 3, 7, 9)]).fallen() == []
    heard = Heard([early, later, Reply(CSV_DUMP, "", 3, 4, 200, b"", {"wordcount-as-of": "1:8"})])
    assert [heard.before(moment_s) for moment_s in (1, 2, 4, 5)] == [{}, {0: 7}, {0: 9}, {0: 9, 1: 8}]
    silent = Reply(KEY_VALUE, "", 1.5, 2, 200, b'{"key":"b","value":1}')
    assert Heard([early, silent]).fallen() == []


def test_the_history_counts_as_plain_python_does() -> None:
    chance = random.Random(7)
    log = [
        (partition, offset, b" ".join(b"%x" % int(chance.paretovariate(0.5)) for _ in range(4)))
        for partition, offset in itertools.product(range(3), range(60))
    ]
    history = History(log)
    for _ in range(40):
        as_of = {partition: chance.randrange(61) for partition in range(3)}
        counts = Counter(
            word.decode()
            for partition, offset, text in log
            if offset < as_of[partition]
            for word in text.split()
        )
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        prefix, limit = chance.choice(["", "1", "2", "1f"]), chance.choice([1, 5, 1000])
        after = chance.choice([None, prefix + "0", prefix + "8"])
        listed = sorted(
            pair
            for pair in counts.items()
            if pair[0].startswith(prefix) and (after is None or pair[0] > after)
        )
        assert history.totals(as_of) == (sum(as_of.values()), counts.total())
        assert history.above(1, as_of) == ranked
        assert history.starting_with(prefix, as_of) == {
            word: count for word, count in counts.items() if word.startswith(prefix)
        }
        assert history.within(prefix, prefix + "8", as_of) == {
            word: count for word, count in counts.items() if prefix <= word <= prefix + "8"
        }
        assert history.page(prefix, after, limit, as_of) == (listed[:limit], len(listed) > limit)
        assert all(history.count(word.decode(), as_of) == counts[word.decode()] for word in history.words)
