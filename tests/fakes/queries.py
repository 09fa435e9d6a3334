"""Fakes of the ports of HTTP: counts and health that a test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.bodies import ReadinessCheck, Version
from app.reads.answers import (
    WHOLE,
    Answer,
    Assignments,
    Behind,
    FollowerStatus,
    IncompleteError,
    NotCountedYetError,
    PartitionStatus,
    PartWindows,
    RestoreStatus,
    Role,
    Stats,
    Terms,
    WordPage,
    WorkerAssignment,
)
from app.reads.window_answers import WindowSize, WindowTop, WindowTrending, WordSeries
from app.reads.window_choice import Choice
from tables.errors import NotReadyError
from tables.model.event_clock import EventClock, Jump
from tables.model.tally import Totals
from tables.model.windows import CountedSize, SizeRule, WindowState
from tables.top.top_words import TopWords
from tables.top.trending import Trending, TrendingWord, score

VERSION = Version("1.2.3", "3.11.7", "0.15.3", "abc1234")


@dataclass
class FakeQueries:
    """Answers from a dict, or raises `error` if a test sets it."""

    counts: dict[str, int] = field(default_factory=lambda: {"the": 5, "fox": 2, "over": 1})
    totals: Totals = field(
        default_factory=lambda: Totals(10, 7, 8, {"null": 1}, {"invalid_json": 2}, {"stop_word": 4})
    )
    as_of: dict[int, int] = field(default_factory=lambda: {10: 7, 2: 123})
    missing: Sequence[int] = ()
    complete: bool = True
    status: dict[int, PartitionStatus] = field(
        default_factory=lambda: {
            2: PartitionStatus("counting", 123, 130),
            10: PartitionStatus("restoring"),
        }
    )
    assigned: Assignments = field(
        default_factory=lambda: Assignments(
            7,
            3,
            [
                WorkerAssignment(
                    "http://10.0.0.1:8080",
                    True,
                    "",
                    "1.2.3",
                    {
                        2: PartitionStatus("counting", 123, 130),
                        10: PartitionStatus("restoring", restore=RestoreStatus(0.25, 30, 1.0)),
                    },
                    {1: FollowerStatus("following", 40, Behind(3, 0.2), 1.0)},
                ),
                WorkerAssignment(
                    "http://10.0.0.2:8080", False, "it does not answer", "", {1: None}, {2: None}
                ),
            ],
        )
    )
    window_parts: dict[int, PartWindows] = field(default_factory=dict)
    max_error: int | None = None
    served_by: Mapping[int, Role] = field(default_factory=lambda: {10: "active", 2: "standby"})
    behind: Mapping[int, Behind] = field(default_factory=lambda: {2: Behind(7, 0.5)})
    error: Exception | None = None
    asked: list[Terms] = field(default_factory=list)
    """The terms of all questions."""

    def _answer(self, value: Any, terms: Terms) -> Answer[Any]:
        self.asked.append(terms)
        if self.error is not None:
            raise self.error
        if any(self.as_of.get(number, 0) <= offset for number, offset in terms.after.items()):
            told = {number: self.as_of[number] for number in terms.after if number in self.as_of}
            raise NotCountedYetError(terms.after, told)
        if not self.complete and not terms.allow_partial:
            if not self.missing:
                raise NotReadyError("the number of partitions is not known yet")
            raise IncompleteError(dict.fromkeys(self.missing, "no worker has the partition"))
        missing = dict.fromkeys(self.missing, "nobody answered for the partition")
        return Answer(value, self.as_of, self.complete, missing, self.served_by, self.behind)

    async def get(self, word: str, terms: Terms = WHOLE) -> Answer[int | None]:
        return self._answer(self.counts.get(word), terms)

    async def counts_of(self, words: Sequence[str], terms: Terms = WHOLE) -> Answer[Sequence[int]]:
        return self._answer([self.counts.get(word, 0) for word in words], terms)

    async def list(
        self, prefix: str, after: str | None, limit: int, terms: Terms = WHOLE
    ) -> Answer[WordPage]:
        found = sorted(
            (word.encode(), count) for word, count in self.counts.items() if word.startswith(prefix)
        )
        rest = [(word.decode(), count) for word, count in found if after is None or word > after.encode()]
        return self._answer(WordPage(rest[:limit], len(rest) > limit), terms)

    async def top(self, k: int, *, exact: bool = False, terms: Terms = WHOLE) -> Answer[TopWords]:
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0].encode()))
        return self._answer(TopWords(ranked[:k], None if exact else self.max_error), terms)

    async def stats(self, terms: Terms = WHOLE) -> Answer[Stats]:
        return self._answer(Stats(self.totals, self.status, self.window_parts), terms)

    async def assignments(self) -> Assignments:
        return self.assigned

    def partitions(self) -> Mapping[int, PartitionStatus]:
        return self.status

    @cached_property
    def windows(self) -> FakeWindows:
        return FakeWindows(self)


WINDOWS = WindowState(
    clock=EventClock(1_767_226_035_000),  # 2026-01-01T00:07:15Z
    sizes=(CountedSize(SizeRule(60, 10, 86_400), 0, 1_767_225_610_000),),
    max_jump_ms=86_400_000,
    time_source="record",
    ruled_from=0,
    ruled_clock=EventClock(),
)
JUMPED = WINDOWS.at(EventClock(1_767_226_020_000, Jump(5, 1_767_571_200_000, 1_767_571_260_000, 3)))


PARTS = {
    2: PartWindows(WINDOWS, 100, {"missing_time": 1}, {"60": 4}),
    10: PartWindows(JUMPED, 7, {}, {}),
}


@dataclass
class FakeWindows:
    """Answers about windows of a minute, each with the words of `counts`, and of none of the other sizes."""

    queries: FakeQueries
    asked: list[dict[str, object]] = field(default_factory=list)
    """What was asked for."""
    overviews: int = 0
    """How often the overview was."""

    async def overview(self, terms: Terms = WHOLE) -> Answer[Mapping[int, PartWindows]]:
        self.overviews += 1
        return self.queries._answer(PARTS, terms)

    async def top(self, size: WindowSize, k: int, *, terms: Terms = WHOLE, **asked: Any) -> Answer[WindowTop]:
        choice = self._choice(size, k=k, **asked)
        start_s = choice.newest_closed_s if asked["start_s"] is None else asked["start_s"]
        assert start_s is not None
        choice.check_kept(start_s)
        top = (await self.queries.top(k, exact=asked["exact"], terms=terms)).value
        end_s = asked["end_s"] or start_s + size.size_s
        return self.queries._answer(WindowTop(top, choice.span(start_s, end_s)), terms)

    async def series(
        self, word: str, size: WindowSize, *, points: int, terms: Terms = WHOLE, **asked: Any
    ) -> Answer[WordSeries]:
        choice = self._choice(size, points=points, **asked)
        newest_s = choice.newest_begun_s
        assert newest_s is not None
        start_s = newest_s - (points - 1) * size.advance_s if asked["start_s"] is None else asked["start_s"]
        start_s = max(start_s, choice.first_kept_s)
        starts = range(start_s, min(newest_s, start_s + (points - 1) * size.advance_s) + 1, size.advance_s)
        counts = [self.queries.counts.get(word, 0) if start_s % 120 else 0 for start_s in starts]
        return self.queries._answer(
            WordSeries(starts, counts, choice.final_until_s, choice.whole_from_s), terms
        )

    async def trending(
        self, size: WindowSize, k: int, *, terms: Terms = WHOLE, **asked: Any
    ) -> Answer[WindowTrending]:
        choice = self._choice(size, k=k, **asked)
        start_s = choice.newest_closed_s
        assert start_s is not None
        words = [TrendingWord("fox", 30, 5, score(30, 5, 5))]
        span = choice.span(start_s, start_s + size.size_s)
        return self.queries._answer(WindowTrending(Trending(words[:k]), span, start_s - 300, 5), terms)

    def _choice(self, size: WindowSize, **asked: object) -> Choice:
        self.asked.append({"size": size, **asked})
        return Choice(size, {2: WINDOWS, 10: JUMPED}, {2: 123, 10: 7})


@dataclass
class FakeHealth:
    """Readiness checks that a test sets."""

    found: dict[str, ReadinessCheck] = field(
        default_factory=lambda: {
            "broker": ReadinessCheck(True, "127.0.0.1:9092"),
            "assignment": ReadinessCheck(True, "2 partitions"),
            "restored": ReadinessCheck(True, "2 partitions up to date"),
            "draining": ReadinessCheck(True, "not draining"),
        }
    )

    def checks(self) -> Mapping[str, ReadinessCheck]:
        return self.found
