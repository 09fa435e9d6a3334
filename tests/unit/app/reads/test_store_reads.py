"""Reads of the partitions that are in this process: leaders of stores that were opened again, and passes over rows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from rocksdict import Cache

from app.reads.store_reads import StoreReads
from tables.cache.counts import CountCache
from tables.cache.vocabulary import Vocabulary
from tables.partitions.changes import Changes
from tables.partitions.served_rows import ServedRows
from tables.store.partition_store import PartitionStore
from tables.top.leaders import PartitionLeaders
from tables.top.top_words import TopWords
from tests.fakes.served import commit_another_word, partition_in_memory, served_by


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[ServedRows]:
    with partition_in_memory(tmp_path / "in memory") as (_, rows, _):
        yield rows


async def reopened(
    folder: Path, close: Callable[[PartitionStore], None] | None = None
) -> tuple[PartitionStore, ServedRows]:
    """A store with the word `x` four times, which was closed, with a note of its leaders or by `close`, and opened again."""
    store = PartitionStore(folder / "0", Cache(1 << 20))
    rows = served_by(store, CountCache(Vocabulary(1), complete=False))
    await asyncio.to_thread(commit_another_word, rows, store)
    await asyncio.to_thread(rows.close if close is None else partial(close, store))
    store = PartitionStore(folder / "0", Cache(1 << 20))
    return store, served_by(store, CountCache(Vocabulary(1), complete=False))


async def test_a_store_that_was_closed_knows_its_most_frequent_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PartitionLeaders, "gather", lambda *_: pytest.fail("the rows are scanned"))
    store, rows = await reopened(tmp_path)
    stores, end_s = StoreReads(Changes(), print, 1.0), monotonic() + 5
    assert await stores.top({0: rows}, 1, False, end_s) == (TopWords([("x", 4)]), {0: 9})
    stores.close()
    store.close()


async def test_the_search_of_rows_after_a_kill_goes_on_when_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rows = await reopened(tmp_path, PartitionStore.close)
    gather, go_on = PartitionLeaders.gather, threading.Event()

    def slow(*arguments: Any) -> None:
        assert go_on.wait(10)
        gather(*arguments)

    monkeypatch.setattr(PartitionLeaders, "gather", slow)
    stores = StoreReads(Changes(), print, 1.0)
    for _ in range(3):
        assert await stores.without_leaders({0: rows}, monotonic() + 0.05) == [0]
    go_on.set()
    assert await stores.without_leaders({0: rows}, monotonic() + 5) == []
    assert await stores.top({0: rows}, 1, False, monotonic() + 5) == (TopWords([("x", 4)]), {0: 9})
    stores.close()
    store.close()


async def test_leaders_are_found_where_only_some_counts_are_in_memory(
    tmp_path: Path, in_memory: ServedRows
) -> None:
    in_memory.leaders = PartitionLeaders(5, empty=False)
    store, noted = await reopened(tmp_path)
    rows = {0: in_memory, 1: noted}
    stores = StoreReads(Changes(), print, 1.0)
    assert not in_memory.leaders.whole
    assert await stores.without_leaders({0: in_memory}, monotonic() + 5) == ()
    assert not in_memory.leaders.whole, "its counts are in memory"
    assert await stores.without_leaders(rows, monotonic() + 5) == []
    assert in_memory.leaders.whole
    found = await stores.top(rows, 2, False, monotonic() + 5)
    assert found == (TopWords([("x", 4), ("w", 3)]), {0: 5, 1: 9})
    stores.close()
    store.close()


async def test_a_pass_that_ends_because_the_worker_stops_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rows = await reopened(tmp_path, PartitionStore.close)
    passing, go_on = threading.Event(), threading.Event()

    def slow(_: object, __: object, check: Callable[[], None]) -> None:
        passing.set()
        assert go_on.wait(10)
        check()

    monkeypatch.setattr(PartitionLeaders, "gather", slow)
    stores = StoreReads(Changes(), print, 1.0)
    asking = asyncio.create_task(stores.without_leaders({0: rows}, monotonic() + 10))
    await asyncio.to_thread(passing.wait, 10)
    stores.close()
    go_on.set()
    assert await asking == [0]
    assert await stores.without_leaders({0: rows}, monotonic() + 10) == [0]
    store.close()
