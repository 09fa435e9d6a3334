"""The most frequent words over several workers: by short lists, by look-ups, and by all frequent words where a proof is demanded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from app.reads.questions import (
    LeadersAsked,
    Leading,
    Question,
    Told,
)
from tables.errors import (
    QueryTimeoutError,
)
from tests.fakes.group import Group, Store


def two_lists() -> Group:
    return Group(
        Store({0: (10, {b"a": 10, b"b": 9, b"c": 1})}), x=Store({1: (20, {b"d": 11, b"b": 9, b"e": 1})})
    )


async def test_a_worker_that_is_alone_adds_up_what_it_can_answer_one_after_the_other() -> None:
    first, second = {b"a": 5, b"b": 4, b"c": 3}, {b"d": 5, b"c": 4, b"e": 3}
    group = Group(Store({0: (10, first), 1: (20, second)}))
    group.here.refuses = {1: "it is being restored"}
    asking = asyncio.create_task(group.queries(2, timeout_s=5.0).top(2))
    await asyncio.sleep(0.05)
    group.here.refuses = {}
    answer = await asking
    assert answer.value.words == [("c", 7), ("a", 5)]


async def test_counts_that_no_list_has_are_asked_for_with_new_lists() -> None:
    group = two_lists()
    answer = await group.queries(2).top(1)
    assert answer.value.words[0][1] in {11, 18}
    assert answer.value.exact or (answer.value.max_error or 0) >= 18 - answer.value.words[0][1]
    _, again = [question for question in group.others["x"].asked if isinstance(question, LeadersAsked)]
    assert again.also


async def test_an_answer_is_of_the_positions_of_the_last_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    group = two_lists()
    x = group.others["x"]

    async def moving(question: Question, held_s: float, end_s: float) -> Told[Any]:
        position, counts = x.parts[1]
        x.parts[1] = (position + 1, {**counts, b"b": counts[b"b"] + 1})
        return await Store.ask(x, question, held_s, end_s)

    monkeypatch.setattr(x, "ask", moving)
    answer = await group.queries(2).top(1)
    moves = answer.as_of[1] - 20
    assert moves >= 1
    true = {"a": 10, "b": 18 + moves, "d": 11}
    assert all(true[word] == count for word, count in answer.value.words)


async def test_exact_top_words_are_found_where_short_lists_prove_nothing() -> None:
    here = {b"a%03d" % number: 50 for number in range(300)} | {b"z": 40}
    there = {b"b%03d" % number: 50 for number in range(300)} | {b"z": 40}
    group = Group(Store({0: (1, here)}), x=Store({1: (1, there)}))
    assert not (await group.queries(2).top(1)).value.exact
    answer = await group.queries(2).top(1, exact=True)
    assert (answer.value.exact, answer.value.words) == (True, [("z", 80)])
    (asked,) = [question for question in group.others["x"].asked if getattr(question, "least", 0)]
    assert asked.least == 25, "half of what the leading word has at least"


async def test_exact_top_words_that_cannot_be_proven_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    group = two_lists()
    x = group.others["x"]

    async def hiding(question: Question, held_s: float, end_s: float) -> Told[Any]:
        told = await Store.ask(x, question, held_s, end_s)
        return replace(told, value=Leading(told.value.words[:1], 100, False))

    monkeypatch.setattr(x, "ask", hiding)
    with pytest.raises(QueryTimeoutError, match="cannot be proven"):
        await group.queries(2).top(1, exact=True)
