"""Queries over all partitions: a partition with rows ahead of its position is left out, and answers never go back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rocksdict import Cache

from app.reads import top_query
from app.reads.answers import IncompleteError, Terms
from app.reads.queries import WordQueries
from app.reads.store_reads import StoreReads
from tables.cache.counts import CountCache
from tables.cache.vocabulary import Vocabulary
from tables.model.rows import StoreState
from tables.partitions.changes import Change, Changes
from tables.partitions.served_rows import ServedRows
from tables.store.partition_store import PartitionStore, StagedRows
from tables.top.leaders import PartitionLeaders
from tables.top.top_words import TopWords
from tests.fakes.parties import OwnedHoldings, queries_alone
from tests.fakes.rows import pack_row
from tests.fakes.served import column, commit_another_word, partition_in_memory, served_by, state_at

PARTIAL = Terms(allow_partial=True)


def counting(shards: Mapping[int, Any]) -> Any:
    """Partitions that are all counting, as reads see them."""
    return SimpleNamespace(
        shards=lambda: shards,
        partition_numbers=shards.keys,
        state=lambda _: ("counting", 0),
        restoring=dict,
        errors=dict,
        rebuild_corrupted=print,
    )


@pytest.fixture(params=[True, False], ids=["cached", "read from stores"])
def queries(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WordQueries]:
    """Partition 0 is at 5; partition 1 is at 7 and has the rows of a flush to 9."""
    vocabulary, shards = Vocabulary(1000), {}
    for number, state in enumerate([state_at(5, 5), state_at(7, 9)]):
        store = PartitionStore(tmp_path / str(number), Cache(1 << 20))
        row = pack_row(3, state.max_upto)
        store.commit(store.stage([b"word"], [row]), state)
        cache = CountCache(vocabulary, complete=request.param)
        cache.learn(pa.array([b"word"], pa.binary()), np.array([3]), state.exact_position)
        shards[number] = SimpleNamespace(
            store=store, served=served_by(store, cache), unsettled=None, position=state.position
        )
    counts = counting(shards)
    stores = StoreReads(Changes(), counts.rebuild_corrupted, 1.0)
    yield queries_alone(OwnedHoldings(counts), stores, lambda: 2)
    stores.close()
    for shard in shards.values():
        shard.store.close()


async def test_a_count_leaves_a_partition_with_rows_ahead_out(queries: WordQueries) -> None:
    answer = await queries.get("word", PARTIAL)
    assert (answer.value, answer.as_of, answer.complete, [*answer.missing_partitions]) == (
        3,
        {0: 5},
        False,
        [1],
    )


async def test_a_list_leaves_a_partition_with_rows_ahead_out(queries: WordQueries) -> None:
    answer = await queries.list("", None, 10, PARTIAL)
    assert (answer.value.words, answer.as_of, [*answer.missing_partitions]) == ([("word", 3)], {0: 5}, [1])


async def test_top_leaves_a_partition_with_rows_ahead_out(queries: WordQueries) -> None:
    answer = await queries.top(10, terms=PARTIAL)
    assert (answer.value, answer.as_of, [*answer.missing_partitions]) == (
        TopWords([("word", 3)]),
        {0: 5},
        [1],
    )


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def one(
    tmp_path: Path, changes: Changes
) -> Iterator[tuple[WordQueries, PartitionStore, ServedRows, CountCache]]:
    """One partition at 5, with the word `w` three times."""
    with partition_in_memory(tmp_path / "0") as (store, rows, cache):
        shard = SimpleNamespace(store=store, served=rows, unsettled=None, position=5)
        counts = counting({0: shard})
        stores = StoreReads(changes, counts.rebuild_corrupted, 1.0)
        yield queries_alone(OwnedHoldings(counts), stores, lambda: 1), store, rows, cache
        stores.close()


async def answers(queries: WordQueries) -> list[tuple[object, Mapping[int, int]]]:
    """What each resource says, and as of where."""
    page, one, some, top, stats = (
        await queries.list("", None, 5),
        await queries.get("w"),
        await queries.top(5),
        await queries.top(5, exact=True),
        await queries.stats(),
    )
    return [
        (page.value.words, page.as_of),
        ([("w", one.value)], one.as_of),
        (some.value.words, some.as_of),
        (top.value.words, top.as_of),
        (page.value.words, stats.as_of),  # It has no words.
    ]


@pytest.mark.parametrize("whole", [True, False], ids=["leaders known", "leaders not known"])
async def test_no_resource_goes_behind_another_while_a_flush_is_written(
    one: tuple[WordQueries, PartitionStore, ServedRows, CountCache],
    whole: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread stands still in the commit: before the store is written, after that, and before the cache is told."""
    queries, store, rows, cache = one
    if not whole:
        rows.leaders = PartitionLeaders(5, empty=False)
    commit, steps = store.commit, Steps()

    def slowly(staged: StagedRows, state: StoreState, *others: Any) -> None:
        steps.reach()
        commit(staged, state, *others)
        store.state = before  # As between RocksDB's write and the line that says so.
        steps.reach()
        store.state = state

    monkeypatch.setattr(store, "commit", slowly)
    before = store.state
    flush = threading.Thread(
        target=lambda: rows.commit(
            store.stage([b"w"], [pack_row(4, 9)]), state_at(9, 9), column(b"w"), np.array([4])
        )
    )
    flush.start()
    steps.wait_reached()
    if whole:  # A pass over the store would wait for the commit.
        assert await answers(queries) == [([("w", 3)], {0: 5})] * 5
    steps.go_on()
    steps.wait_reached()
    if whole:
        assert await answers(queries) == [([("w", 4)], {0: 9})] * 5
    steps.go_on()
    flush.join()
    assert await answers(queries) == [([("w", 4)], {0: 9})] * 5
    cache.update(cache.vocabulary.ids(column(b"w")), np.array([4]), 9)
    assert await answers(queries) == [([("w", 4)], {0: 9})] * 5


class Steps:
    """Lets a thread go on step by step."""

    def __init__(self) -> None:
        self._reached, self._go_on = threading.Semaphore(0), threading.Semaphore(0)

    def reach(self) -> None:
        self._reached.release()
        assert self._go_on.acquire(timeout=10)

    def wait_reached(self) -> None:
        assert self._reached.acquire(timeout=10)

    def go_on(self) -> None:
        self._go_on.release()


async def test_a_look_up_in_a_store_that_is_slow_does_not_hold_the_event_loop(
    one: tuple[WordQueries, PartitionStore, ServedRows, CountCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, store, _, cache = one
    cache.withdraw()
    read, go_on = store.get_at, threading.Event()

    def slowly(word: bytes) -> Any:
        assert go_on.wait(10)
        return read(word)

    monkeypatch.setattr(store, "get_at", slowly)
    asked = asyncio.create_task(queries.get("w"))
    await asyncio.sleep(0.01)
    go_on.set()
    assert (await asked).value == 3


async def test_a_page_of_words_does_not_wait_for_top(
    one: tuple[WordQueries, PartitionStore, ServedRows, CountCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, _, rows, _ = one
    go_on = threading.Event()
    monkeypatch.setattr(rows.leaders, "at", lambda position: go_on.wait(10) and None)
    slow = [asyncio.create_task(queries.top(k)) for k in range(1, 9)]
    await asyncio.sleep(0.01)
    assert (await queries.list("", None, 5)).value.words == [("w", 3)]
    go_on.set()
    await asyncio.gather(*slow)


async def test_top_words_that_are_kept_are_told_at_once_until_a_flush_is_committed(
    one: tuple[WordQueries, PartitionStore, ServedRows, CountCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, store, rows, _ = one
    find, found = top_query.proven, []
    monkeypatch.setattr(top_query, "proven", lambda *question: found.append(question) or find(*question))
    for k in (10, 5, 10, 100):
        assert (await queries.top(k)).value == TopWords([("w", 3)])
    assert len(found) == 1
    await asyncio.to_thread(commit_another_word, rows, store)
    for _ in range(2):
        answer = await queries.top(1)
        assert (answer.value, answer.as_of) == (TopWords([("x", 4)]), {0: 9})
    assert len(found) == 2


@pytest.mark.parametrize("times", [1, 2], ids=["asked once", "asked again"])
async def test_top_words_that_are_asked_for_again_are_found_when_a_flush_is_committed(
    one: tuple[WordQueries, PartitionStore, ServedRows, CountCache],
    changes: Changes,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> None:
    queries, store, rows, _ = one
    for _ in range(times):
        await queries.top(10)
    await asyncio.to_thread(commit_another_word, rows, store)
    changes.publish(Change(0, 9, None))
    await asyncio.sleep(0.1)
    # Nothing is found from now on.
    monkeypatch.setattr(top_query.LeadingWords, "find", lambda *_: (TopWords([]), {0: 9}))
    assert (await queries.top(2)).value.words == ([] if times == 1 else [("x", 4), ("w", 3)])


async def test_what_is_asked_while_a_worker_closes_has_no_answer(
    one: tuple[WordQueries, PartitionStore, ServedRows, CountCache], changes: Changes
) -> None:
    queries, store, _, cache = one
    await queries.top(1)
    await queries.top(1)
    cache.withdraw()
    queries._parties.local.close()
    changes.publish(Change(0, 5, None))
    for asking in (queries.get("w"), queries.list("", None, 5)):
        with pytest.raises(IncompleteError, match="the worker stops"):
            await asking
    store.close()
    assert [*(await queries.stats(PARTIAL)).missing_partitions] == [0]
