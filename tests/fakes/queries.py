"""Fakes of the ports of HTTP: counts and health that a test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    RestoreStatus,
    Role,
    Stats,
    Terms,
    WordPage,
    WorkerAssignment,
)
from tables.errors import NotReadyError
from tables.model.tally import Totals
from tables.top.top_words import TopWords

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
        return self._answer(Stats(self.totals, self.status), terms)

    async def assignments(self) -> Assignments:
        return self.assigned

    def partitions(self) -> Mapping[int, PartitionStatus]:
        return self.status


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
