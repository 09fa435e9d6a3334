"""Evaluation: which words cross in which windows, by answers as HTTP gives them."""

from __future__ import annotations

from typing import Any

import pytest

from app.reads.answers import PATIENT, WHOLE, Terms
from app.reads.window_answers import Span, WindowTop, WindowTrending
from app.watches import evaluation as evaluation_module
from app.watches.evaluation import Evaluation
from app.watches.ledger import Page
from tables.top.top_words import TopWords
from tables.top.trending import Trending, TrendingWord
from tests.fakes.queries import FakeQueries, FakeWindows
from tests.fakes.watches import watch

NEWEST_S = 1_767_226_020
"""Beginning of the newest window of the fake; the one before is not final in one partition."""

NOW_S = 1_767_230_000


class Windows(FakeWindows):
    """As the fake, with lists of any length, and trends of the window that is asked for."""

    async def top(self, size: Any, k: int, *, start_s: int, exact: bool, terms: Terms) -> Any:
        assert (exact, terms) == (True, PATIENT)
        self.asked.append({"k": k, "start_s": start_s})
        ranked = sorted(self.queries.counts.items(), key=lambda pair: (-pair[1], pair[0]))
        final = [2, 10] if start_s < NEWEST_S else []
        span = Span(start_s, start_s + 60, final, {} if final else {2: None}, is_whole=True)
        return self.queries._answer(WindowTop(TopWords(ranked[:k]), span), WHOLE)

    async def trending(
        self, size: Any, k: int, *, baseline: int, min_count: int, start_s: int, terms: Terms
    ) -> Any:
        assert terms == PATIENT
        self.asked.append({"baseline": baseline, "min_count": min_count, "start_s": start_s})
        span = Span(start_s, start_s + 60, [2, 10], {}, is_whole=True)
        words = [TrendingWord("fox", 30, 5, 7.12345)]
        return self.queries._answer(WindowTrending(Trending(words), span, 0, 5), WHOLE)


@pytest.fixture
def queries() -> FakeQueries:
    found = FakeQueries()
    found.windows = Windows(found)
    return found


async def evaluated(queries: FakeQueries, page: Page):
    evaluation = Evaluation(queries)
    return await evaluation.evaluate(page, await evaluation.overview(), 0, NOW_S)


async def test_a_word_crosses_in_each_window_in_which_it_is_above(queries):
    page = Page(watch(text="fox", above=1), "", since_s=NEWEST_S - 240)
    found = await evaluated(queries, page)
    # The fake counts the word in every other minute.
    assert [one.start_s for one in found.crossings] == [NEWEST_S - 240, NEWEST_S - 120, NEWEST_S]
    assert {(one.word, one.count, one.found_s) for one in found.crossings} == {("fox", 2, NOW_S)}
    assert found.crossings[0].as_of == {10: 7, 2: 123}
    assert found.since_s == NEWEST_S - 60


async def test_as_often_as_allowed_is_not_above(queries):
    assert (await evaluated(queries, Page(watch(text="fox", above=2), "", NEWEST_S))).crossings == []


async def test_a_total_crosses_without_windows(queries):
    total = watch(text="the", above=4, window=None)
    found = await evaluated(queries, Page(total, ""))
    assert [(one.word, one.count, one.start_s) for one in found.crossings] == [("the", 5, None)]
    assert found.since_s is None


async def test_words_with_a_prefix_are_found_in_the_list_of_the_most_frequent_ones(queries):
    queries.counts = {"the": 9, "error": 5, "errand": 3, "err": 2}
    found = await evaluated(queries, Page(watch(kind="prefix", text="err"), "", NEWEST_S))
    assert [(one.word, one.count, one.start_s) for one in found.crossings] == [
        ("error", 5, NEWEST_S),
        ("errand", 3, NEWEST_S),
    ]
    assert found.problem is None


async def test_a_longer_list_is_asked_for_while_its_last_word_is_above(queries, monkeypatch):
    monkeypatch.setattr(evaluation_module, "_LISTS", (2, 4))
    queries.counts = {"a": 9, "b": 8, "error": 5, "c": 1}
    found = await evaluated(queries, Page(watch(kind="prefix", text="err"), "", NEWEST_S))
    assert [one.word for one in found.crossings] == ["error"]
    assert [asked["k"] for asked in queries.windows.asked] == [2, 4]
    queries.counts["c"] = 7
    assert 'raise "above"' in (await evaluated(queries, Page(watch(kind="prefix"), "", NEWEST_S))).problem


async def test_trending_words_cross_above_the_count_in_every_window(queries):
    found = await evaluated(queries, Page(watch(kind="trending", text="", above=9), "", NEWEST_S - 60))
    assert [(one.word, one.score) for one in found.crossings] == [("fox", 7.123)] * 2
    assert {(asked["baseline"], asked["min_count"]) for asked in queries.windows.asked} == {(10, 10)}


async def test_a_watch_that_comes_before_all_records_looks_at_all_of_them(queries, monkeypatch):
    monkeypatch.setattr("tests.fakes.queries.PARTS", {})
    found = await evaluated(queries, Page(watch(), ""))
    assert (found.since_s, found.crossings) == (0, [])


async def test_a_watch_without_a_window_to_look_at_says_so(queries):
    found = await evaluated(queries, Page(watch(), "", NEWEST_S + 3600))
    assert (found.since_s, found.crossings) == (NEWEST_S + 3600, [])
    assert "give the watch another name" in found.problem
    assert (await evaluated(queries, Page(watch(), "", NEWEST_S + 60))).problem is None


async def test_a_watch_whose_windows_were_those_of_a_wrong_time_begins_anew(queries):
    found = await evaluated(queries, Page(watch(text="fox", above=1), "", 4_294_967_280))
    assert {one.start_s for one in found.crossings} == {NEWEST_S}
    assert (found.problem, found.since_s) == (None, NEWEST_S - 60)


async def test_a_new_watch_begins_with_the_windows_that_are_not_final(queries):
    found = await evaluated(queries, Page(watch(text="fox", above=1), ""))
    assert {one.start_s for one in found.crossings} == {NEWEST_S}
