"""Counts summed over partitions, in memory and by going through all rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from rocksdict import Cache

from app.reads import sums
from app.reads.pool import Budget
from tables.cache.counts import CountCache
from tables.cache.vocabulary import Vocabulary
from tables.partitions.served_rows import ServedRows
from tables.store.partition_store import PartitionStore
from tables.top.listings import Listing
from tables.top.top_words import TopWords
from tests.fakes.rows import pack_row
from tests.fakes.served import column, partition_in_memory, served_by, state_at


@pytest.mark.parametrize("complete", [True, False], ids=["in memory", "read from stores"])
def test_frequent_words_are_all_words_from_a_count_on_and_those_that_are_asked_for(
    tmp_path: Path, complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary, rows = Vocabulary(100), {}
    for number, counts in enumerate([{b"a": 5, b"b": 2, b"c": 1}, {b"b": 2, b"d": 3}]):
        store = PartitionStore(tmp_path / str(number), Cache(1 << 20))
        cache = CountCache(vocabulary, complete=complete)
        words, values = column(*counts), np.array([*counts.values()])
        packed = [pack_row(count, 5) for count in counts.values()]
        rows[number] = served_by(store, cache)
        rows[number].commit(store.stage([*counts], packed), state_at(5, 5), words, values)
        cache.learn(words, values, 5)
    budget = Budget(monotonic() + 10)
    found, as_of = sums.frequent(rows, 4, [b"c", b"x"], budget)
    assert found == Listing({b"a": 5, b"b": 4, b"c": 1, b"x": 0}, 3)
    assert as_of == {0: 5, 1: 5}
    monkeypatch.setattr(sums, "MOST_FREQUENT", 2)
    found, _ = sums.frequent(rows, 1, [b"c"], budget)
    assert found == Listing({b"a": 5, b"b": 4, b"c": 1}, 3), "the bound says what was left out"


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[tuple[ServedRows, CountCache]]:
    with partition_in_memory(tmp_path / "0") as (_, rows, cache):
        yield rows, cache


def test_counts_of_words_that_come_while_counts_are_added_up_are_not_left_out(
    in_memory: tuple[ServedRows, CountCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, cache = in_memory
    monkeypatch.setattr(sums, "_NEW_WORDS", 0)
    add_to = CountCache.add_to

    def flushed_before(cache: CountCache, totals: Any) -> int | None:
        cache.learn(column(b"new"), np.array([9]), 5)
        return add_to(cache, totals)

    budget = Budget(monotonic() + 10)
    assert sums._first_in_memory({0: rows}, 5, budget) == (TopWords([("w", 3)]), {0: 5})
    monkeypatch.setattr(CountCache, "add_to", flushed_before)
    assert sums._first_in_memory({0: rows}, 5, budget) is None
    monkeypatch.setattr(sums, "_NEW_WORDS", 1)
    assert sums._first_in_memory({0: rows}, 5, budget) == (TopWords([("new", 9), ("w", 3)]), {0: 5})
    assert cache.complete
