"""Questions over all workers: what is added up is disjoint, the next party is asked, and an answer is whole or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from agents.source.group_map import GroupMap, Member
from app.reads.answers import IncompleteError, NotCountedYetError, Terms
from app.reads.parties import Parties
from app.reads.peers import PeerError
from app.reads.queries import WordQueries
from app.reads.questions import (
    CountsAsked,
    LeadersAsked,
    Leading,
    PageAsked,
    PositionsAsked,
    Question,
    Told,
    WorkerStatus,
)
from tables.errors import BadRequestError, NotReadyError, OverloadedError, QueryTimeoutError

Part = tuple[int, Mapping[bytes, int]]
"""Position and counts of a partition."""


class Store:
    """A party: partitions with counts, which tells of those that it has."""

    def __init__(self, parts: Mapping[int, Part], owned: Collection[int] | None = None) -> None:
        self.parts = dict(parts)
        self.asked: list[Question] = []
        self.refuses: dict[int, str] = {}
        self.error: Exception | None = None
        self._owned = owned

    def owned(self) -> Collection[int]:
        return self.parts.keys() if self._owned is None else self._owned

    def followed(self) -> Collection[int]:
        return self.parts.keys() - set(self.owned())

    def status(self) -> WorkerStatus:
        return WorkerStatus("here", "1", {}, {})

    async def ask(self, question: Question, end_s: float) -> Told[Any]:
        self.asked.append(question)
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
        return await self.others[url].ask(question, timeout_s)

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


async def test_an_answer_is_added_up_over_all_workers() -> None:
    queries = two_workers().queries(3)
    answer = await queries.get("a")
    assert (answer.value, answer.as_of, answer.complete) == (3, {0: 10, 1: 20, 2: 30}, True)
    assert answer.served_by == dict.fromkeys(range(3), "active")
    assert (await queries.counts_of(["b", "z", "a"])).value == [6, 0, 3]
    page = (await queries.list("", None, 2)).value
    assert (page.words, page.has_more) == ([("a", 3), ("b", 6)], True)
    assert (await queries.list("", "b", 2)).value.words == [("c", 4)]
    assert (await queries.top(2)).value.words == [("b", 6), ("c", 4)]
    assert (await queries.get("z")).value is None


async def test_a_worker_is_asked_for_its_own_partitions_only() -> None:
    group = two_workers()
    await group.queries(3).get("a")
    (question,) = group.others["x"].asked
    assert list(question.partitions) == [1, 2]
    (question,) = group.here.asked
    assert list(question.partitions) == [0]


async def test_two_owners_of_a_partition_are_never_added_up() -> None:
    group = Group(
        Store({0: (10, {b"a": 1})}), x=Store({0: (12, {b"a": 2}), 1: (5, {})}), y=Store({1: (6, {b"a": 9})})
    )
    answer = await group.queries(2).get("a")
    assert answer.value in {1, 10}
    assert answer.as_of[0] == 10, "this process takes itself for the owner"


async def test_the_next_worker_is_asked_where_one_refuses() -> None:
    group = Group(Store({}), x=Store({0: (10, {b"a": 1})}), y=Store({0: (11, {b"a": 2})}))
    group.map = group.mapped({"x": [0]}, {"y": [0]})
    group.others["x"].refuses = {0: "it is being restored"}
    answer = await group.queries(1).get("a")
    assert (answer.value, answer.as_of) == (2, {0: 11})


async def test_a_silent_owner_leaves_time_to_ask_a_standby_and_is_asked_last_afterwards() -> None:
    group = Group(Store({}), x=Store({0: (10, {b"a": 1})}), y=Store({0: (11, {b"a": 2})}))
    group.map = group.mapped({"x": [0]}, {"y": [0]})
    group.silent = {"x"}
    queries = group.queries(1, timeout_s=1.0)
    started = asyncio.get_running_loop().time()
    assert (await queries.get("a")).value == 2
    first_s = asyncio.get_running_loop().time() - started
    assert first_s < 0.6
    started = asyncio.get_running_loop().time()
    assert (await queries.get("a")).value == 2
    assert asyncio.get_running_loop().time() - started < first_s / 2


async def test_a_newer_map_is_used_as_soon_as_it_is_known() -> None:
    group = Group(Store({}), x=Store({}), y=Store({0: (11, {b"a": 2})}))
    group.map = group.mapped({"x": [0]})
    asking = asyncio.create_task(group.queries(1, timeout_s=2.0).get("a"))
    await asyncio.sleep(0.05)
    group.map = group.mapped({"y": [0]})
    assert (await asking).value == 2


async def test_what_nobody_answers_is_an_error_that_names_partitions_and_reasons() -> None:
    group = two_workers()
    group.others["x"].refuses = {2: "it is being restored, 40% of its changelog is read"}
    queries = group.queries(4)
    with pytest.raises(IncompleteError) as raised:
        await queries.get("a")
    assert raised.value.reasons == {
        2: "it is being restored, 40% of its changelog is read",
        3: "nobody has it now",
    }
    answer = await queries.get("a", Terms(allow_partial=True))
    assert (answer.value, answer.complete, answer.missing_partitions) == (3, False, [2, 3])


async def test_an_error_comes_within_the_time_of_a_query() -> None:
    group = two_workers()
    group.silent = {"x"}
    started = asyncio.get_running_loop().time()
    with pytest.raises(IncompleteError, match="does not answer in time"):
        await group.queries(3, timeout_s=0.3).get("a")
    assert asyncio.get_running_loop().time() - started < 0.4


async def test_without_other_workers_a_missing_partition_is_told_at_once() -> None:
    group = Group(Store({0: (10, {})}))
    started = asyncio.get_running_loop().time()
    with pytest.raises(IncompleteError, match="partition 1"):
        await group.queries(2, timeout_s=5.0).get("a")
    assert asyncio.get_running_loop().time() - started < 1


async def test_before_any_partition_is_known_there_is_no_answer() -> None:
    with pytest.raises(NotReadyError):
        await Group(Store({})).queries(None).get("a")


@pytest.mark.parametrize("error", [OverloadedError("many"), QueryTimeoutError("late")])
async def test_what_keeps_this_process_from_answering_is_told(error: Exception) -> None:
    group = two_workers()
    group.here.error = error
    with pytest.raises(type(error)):
        await group.queries(3).get("a")


async def test_a_store_that_is_being_closed_is_asked_of_the_next_party() -> None:
    group = Group(Store({0: (10, {b"a": 1})}), x=Store({0: (11, {b"a": 2})}))
    group.here.error = NotReadyError("a store is being closed")
    assert (await group.queries(1).get("a")).value == 2


def two_lists() -> Group:
    return Group(
        Store({0: (10, {b"a": 10, b"b": 9, b"c": 1})}), x=Store({1: (20, {b"d": 11, b"b": 9, b"e": 1})})
    )


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

    async def moving(question: Question, end_s: float) -> Told[Any]:
        position, counts = x.parts[1]
        x.parts[1] = (position + 1, {**counts, b"b": counts[b"b"] + 1})
        return await Store.ask(x, question, end_s)

    monkeypatch.setattr(x, "ask", moving)
    answer = await group.queries(2).top(1)
    moves = answer.as_of[1] - 20
    assert moves >= 1
    true = {"a": 10, "b": 18 + moves, "d": 11}
    assert all(true[word] == count for word, count in answer.value.words)


async def test_exact_top_words_that_cannot_be_proven_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.reads.queries._EXACT_LISTED", 2)
    words = {b"%d" % number: 1 for number in range(9)}
    queries = Group(Store({0: (1, words)}), x=Store({1: (1, words)})).queries(2)
    with pytest.raises(QueryTimeoutError, match="cannot be proven"):
        await queries.top(1, exact=True)


async def test_records_that_have_to_be_covered_are_waited_for() -> None:
    group = two_workers()
    x = group.others["x"]
    queries = group.queries(3)
    assert (await queries.get("a", Terms(after={0: 9, 1: 19}))).value == 3
    with pytest.raises(NotCountedYetError, match="offset 20 of partition 1") as raised:
        await queries.get("a", Terms(after={1: 20}))
    assert raised.value.as_of == {1: 20}
    asking = asyncio.create_task(queries.get("a", Terms(after={1: 20}, wait_s=5)))
    await asyncio.sleep(0.05)
    x.parts[1] = (21, {b"a": 7})
    assert (await asking).value == 8
    positions = [question for question in x.asked if isinstance(question, PositionsAsked)]
    assert all(list(question.partitions) == [1] for question in positions)
    with pytest.raises(BadRequestError, match="no partition 3"):
        await queries.get("a", Terms(after={3: 0}))


async def test_assignments_show_workers_that_do_not_answer_by_the_map_alone() -> None:
    group = two_workers()
    group.silent = {"x"}
    found = await group.queries(3).assignments()
    here, x = found.workers
    assert (here.is_here, x.is_here) == (True, False)
    assert x.problem == "x does not answer in time"
    assert x.active == {1: None, 2: None}
