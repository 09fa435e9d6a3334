"""The judge of the trial of reads accepts what is right for its `as_of`, and catches an answer of each kind that is wrong."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tests.chaos.history import History
from tests.chaos.judge import Question, Reply, fallen, fault_of

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
    whole = {"as_of": as_of, "complete": True, "missing_partitions": [], **body}
    return Reply(question, "worker-0", 1.0, 2.0, status, msgspec.json.encode(whole))


def words(*pairs: tuple[str, int]) -> dict[str, Any]:
    return {"words": [{"word": word, "count": count} for word, count in pairs]}


WORD = Question("word", "/v1/words/b", {}, ["b"])
ABSENT = Question("absent word", "/v1/words/d", {}, ["d"])
BATCH = Question("batch", "/v1/words:batch", {}, ["d", "a"])
PAGE = Question("page", "/v1/words", {"prefix": "a", "limit": 1})
NEXT = Question("page", "/v1/words", {"prefix": "a", "limit": 1}, (), "a")
TOP = Question("top 10", "/v1/top", {"k": 2})
STATS = Question("stats", "/v1/stats", {})
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


def test_only_an_answer_that_was_asked_for_after_a_newer_one_falls() -> None:
    def at(sent_s: float, received_s: float, position: int) -> Reply:
        body = msgspec.json.encode({"as_of": {"0": position}})
        return Reply(STATS, "worker-0", sent_s, received_s, 200, body)

    newer, at_the_same_time, later = at(0, 1, 5), at(0.5, 2, 4), at(1.5, 3, 4)
    refused = Reply(STATS, "worker-1", 1.1, 1.2, 503)
    assert fallen([newer, at_the_same_time, refused]) == []
    assert fallen([later, at_the_same_time, newer]) == [(newer, later, 0)]


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
        assert history.page(prefix, after, limit, as_of) == (listed[:limit], len(listed) > limit)
        assert all(history.count(word.decode(), as_of) == counts[word.decode()] for word in history.words)
