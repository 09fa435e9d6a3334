"""A group of workers in one process: parties that hold partitions as dicts, and the queries of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from agents.source.group_map import GroupMap, Member
from app.reads.parties import Parties
from app.reads.peers import PeerError
from app.reads.queries import WordQueries
from app.reads.questions import (
    CountsAsked,
    LeadersAsked,
    Leading,
    PageAsked,
    Question,
    Told,
    WorkerStatus,
)

Part = tuple[int, Mapping[bytes, int]]
"""Position and counts of a partition."""


class Store:
    """A party: partitions with counts, which tells of those that it has."""

    def __init__(self, parts: Mapping[int, Part], owned: Collection[int] | None = None) -> None:
        self.parts = dict(parts)
        self.asked: list[Question] = []
        self.times: list[tuple[float, float]] = []
        self.refuses: dict[int, str] = {}
        self.error: Exception | None = None
        self._owned = owned

    def owned(self) -> Collection[int]:
        return self.parts.keys() if self._owned is None else self._owned

    def followed(self) -> Collection[int]:
        return self.parts.keys() - set(self.owned())

    def status(self) -> WorkerStatus:
        return WorkerStatus("here", "1", {}, {})

    async def ask(self, question: Question, held_s: float, end_s: float) -> Told[Any]:
        self.asked.append(question)
        self.times.append((held_s, end_s))
        if self.error is not None:
            raise self.error
        here = {
            number: self.parts[number]
            for number in question.partitions
            if number in self.parts and number not in self.refuses
        }
        if isinstance(question, CountsAsked) and question.at:
            here = {number: part for number, part in here.items() if question.at[number] == part[0]}
        sums: dict[bytes, int] = {}
        for _, counts in here.values():
            for word, count in counts.items():
                sums[word] = sums.get(word, 0) + count
        refused = {
            number: self.refuses.get(number, "it is not here")
            for number in question.partitions
            if number not in here
        }
        as_of = {number: position for number, (position, _) in here.items()}
        return Told(_value(question, sums), as_of, dict.fromkeys(as_of, "active"), {}, refused)


def _value(question: Question, sums: Mapping[bytes, int]) -> object:
    match question:
        case CountsAsked():
            return [sums.get(word, 0) for word in question.words]
        case PageAsked():
            words = sorted(
                word for word in sums if word >= question.start and word.startswith(question.prefix)
            )
            return [(word, sums[word]) for word in words[: question.limit]]
        case LeadersAsked(least=least) if least:
            frequent = {word: count for word, count in sums.items() if count >= least}
            frequent |= {word: sums.get(word, 0) for word in question.also}
            return Leading([*frequent.items()], least - 1, False)
        case LeadersAsked():
            words = sorted(sums, key=lambda word: (-sums[word], word))
            first = {word: sums[word] for word in words[: question.k]}
            bound = sums[words[question.k]] if len(words) > question.k else 0
            if not question.needed:
                return Leading([*first.items()], bound, True)
            first |= {word: sums.get(word, 0) for word in question.also}
            return Leading([*first.items()], bound, False)
        case _:
            return None


class Group:
    """Other workers by URL, with the map of the group."""

    def __init__(self, here: Store, **others: Store) -> None:
        self.here = here
        self.others = others
        self.suspects: set[str] = set()
        self.silent: set[str] = set()
        self.map = self.mapped({name: store.owned() for name, store in others.items()})

    def mapped(
        self, active: Mapping[str, Collection[int]], standby: Mapping[str, Collection[int]] | None = None
    ) -> GroupMap:
        members = [Member("here", [*self.here.owned()])]
        members += [
            Member(url, [*active.get(url, ())], [*(standby or {}).get(url, ())]) for url in self.others
        ]
        return GroupMap("t", 1, members, 0)

    def is_suspect(self, url: str) -> bool:
        return url in self.suspects

    async def ask(self, url: str, question: Question, timeout_s: float) -> Told[Any]:
        if url in self.silent:
            await asyncio.sleep(timeout_s)
            self.suspects.add(url)
            raise PeerError(f"{url} does not answer in time")
        return await self.others[url].ask(question, timeout_s, timeout_s)

    async def status(self, url: str, timeout_s: float) -> WorkerStatus:
        if url in self.silent:
            raise PeerError(f"{url} does not answer in time")
        return WorkerStatus(url, "1", {}, {})

    def queries(self, partitions: int | None, timeout_s: float = 0.3) -> WordQueries:
        here: Any = self.here
        return WordQueries(Parties(here, lambda: partitions, lambda: self.map, self), timeout_s)


def two_workers() -> Group:
    return Group(
        Store({0: (10, {b"a": 1, b"b": 5})}),
        x=Store({1: (20, {b"a": 2}), 2: (30, {b"c": 4, b"b": 1})}),
    )
