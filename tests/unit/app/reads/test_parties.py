"""Questions over all workers: what is added up is disjoint, the next party is asked, and an answer is whole or an error."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest

from agents.source.group_map import GroupMap, Member
from app.reads.answers import IncompleteError, Terms
from app.reads.parties import Parties
from app.reads.queries import WordQueries
from tables.errors import (
    NotReadyError,
    OverloadedError,
    QueryTimeoutError,
    StoreCorruptedError,
)
from tests.fakes.group import Group, Store, two_workers


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


async def test_workers_that_advertise_one_url_make_no_answer_wrong() -> None:
    """Three workers of which two advertise the URL x: a question to x reaches one of them, whoever is meant."""
    own, other = {0: (10, {b"a": 1})}, {1: (20, {b"a": 2})}
    for whose in (own, other):
        group = Group(Store(own), x=Store(whose))
        members = [Member("x", [0]), Member("x", [1]), Member("y", [2])]
        group.others["y"] = Store({2: (30, {b"a": 4})})
        for me, here in enumerate((own, other, {2: (30, {b"a": 4})})):
            group.here, group.map = Store(here), GroupMap("t", 1, members, me)
            answer = await group.queries(3).get("a", Terms(allow_partial=True))
            counted = {
                number: part
                for each in (own, other, group.others["y"].parts)
                for number, part in each.items()
            }
            assert answer.as_of == {number: counted[number][0] for number in answer.as_of}
            assert answer.value == sum(counted[number][1][b"a"] for number in answer.as_of)
            if not answer.complete:
                with pytest.raises(IncompleteError):
                    await group.queries(3).get("a")


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
    assert (answer.value, answer.complete, answer.missing_partitions) == (3, False, raised.value.reasons)


async def test_an_error_comes_within_the_time_of_a_query() -> None:
    group = two_workers()
    group.silent = {"x"}
    started = asyncio.get_running_loop().time()
    with pytest.raises(IncompleteError, match="does not answer in time"):
        await group.queries(3, timeout_s=0.3).get("a")
    assert asyncio.get_running_loop().time() - started < 0.4


async def test_a_worker_that_is_alone_waits_for_a_partition_that_it_takes_over() -> None:
    group = Group(Store({0: (10, {}), 1: (5, {b"a": 1})}))
    group.here.refuses = {1: "it is being restored"}
    asking = asyncio.create_task(group.queries(2, timeout_s=5.0).get("a"))
    await asyncio.sleep(0.05)
    group.here.refuses = {}
    assert (await asking).value == 1


async def test_a_partition_that_is_away_for_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.reads.parties._OUTAGE_S", 0.1)
    group = Group(Store({0: (10, {b"a": 3})}))
    group.here.refuses = {0: "it is stopped"}
    queries, now = group.queries(1, timeout_s=0.3), asyncio.get_running_loop().time
    for least_s, most_s in ((0.1, 0.4), (0.1, 0.4), (0.0, 0.1)):
        started = now()
        with pytest.raises(IncompleteError, match="it is stopped"):
            await queries.get("a")
        assert least_s <= now() - started < most_s
    group.here.refuses = {}
    assert (await queries.get("a")).value == 3
    group.here.refuses = {0: "it is stopped"}
    started = now()
    with pytest.raises(IncompleteError):
        await queries.get("a")
    assert now() - started > 0.1, "it has answered meanwhile"


async def test_a_question_asks_a_worker_that_refuses_a_few_times_only() -> None:
    group = two_workers()
    group.others["x"].refuses = {1: "it is being restored"}
    with pytest.raises(IncompleteError):
        await group.queries(3, timeout_s=1.0).get("a")
    assert 3 <= len(group.others["x"].asked) <= 9


async def test_while_the_number_of_partitions_is_unknown_only_partial_answers_are_given() -> None:
    queries = Group(Store({0: (10, {b"a": 1})})).queries(None)
    with pytest.raises(NotReadyError, match="how many partitions"):
        await queries.get("a")
    answer = await queries.get("a", Terms(allow_partial=True))
    assert (answer.value, answer.complete) == (1, False)


async def test_before_any_partition_is_known_there_is_no_answer() -> None:
    with pytest.raises(NotReadyError):
        await Group(Store({})).queries(None).get("a")


@pytest.mark.parametrize("error", [OverloadedError("many wait"), QueryTimeoutError("it is late")])
async def test_what_keeps_a_process_from_answering_is_told(error: Exception) -> None:
    alone, group = Group(Store({0: (1, {})})), two_workers()
    alone.here.error = group.here.error = error
    with pytest.raises(type(error)):
        await alone.queries(1).get("a")
    with pytest.raises(IncompleteError, match=r"partition 0 \(.* (wait|late)\)"):
        await group.queries(3).get("a")


async def test_who_is_overloaded_is_asked_once_and_the_client_is_told_at_once() -> None:
    group = two_workers()
    group.here.error = OverloadedError("many wait")
    started = monotonic()
    with pytest.raises(IncompleteError, match="many wait"):
        await group.queries(3, timeout_s=5.0).get("a")
    assert len(group.here.asked) == 1
    assert monotonic() - started < 1


async def test_a_topic_that_is_forgotten_for_a_moment_makes_no_answer_partial() -> None:
    counts: list[int | None] = [3]
    group = two_workers()
    here: Any = group.here
    queries = WordQueries(Parties(here, lambda: counts[-1], lambda: group.map, group), 0.3)
    assert (await queries.get("a")).value == 3
    counts.append(None)
    answer = await queries.get("a")
    assert (answer.value, answer.complete) == (3, True)


async def test_an_answer_is_judged_by_the_partitions_that_were_asked_for() -> None:
    counts = iter([None, 3, 3])
    group = Group(Store({0: (10, {b"a": 1})}))
    here: Any = group.here
    queries = WordQueries(Parties(here, lambda: next(counts), lambda: group.map, group), 0.3)
    with pytest.raises(NotReadyError, match="how many partitions"):
        await queries.get("a")


@pytest.mark.parametrize("error", [OverloadedError("many"), StoreCorruptedError("unreadable", "x")])
async def test_a_standby_answers_where_this_process_cannot(error: Exception) -> None:
    group = Group(Store({0: (10, {b"a": 1})}), x=Store({0: (11, {b"a": 2})}))
    group.map = group.mapped({}, {"x": [0]})
    group.here.error = error
    assert (await group.queries(1).get("a")).value == 2


async def test_this_process_has_the_whole_time_for_reading_what_it_has() -> None:
    group = two_workers()
    await group.queries(3, timeout_s=1.0).get("a")
    (held_s, end_s), now_s = group.here.times[0], monotonic()
    assert held_s < now_s + 0.4
    assert end_s > now_s + 0.7


async def test_a_store_that_is_being_closed_is_asked_of_the_next_party() -> None:
    group = Group(Store({0: (10, {b"a": 1})}), x=Store({0: (11, {b"a": 2})}))
    group.here.error = NotReadyError("a store is being closed")
    assert (await group.queries(1).get("a")).value == 2


async def test_assignments_show_workers_that_do_not_answer_by_the_map_alone() -> None:
    group = two_workers()
    group.silent = {"x"}
    found = await group.queries(3).assignments()
    here, x = found.workers
    assert (here.is_here, x.is_here) == (True, False)
    assert x.problem == "x does not answer in time"
    assert x.active == {1: None, 2: None}
