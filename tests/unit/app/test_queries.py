"""A partition that a restore has brought rows ahead of its position gives no answer, also where it was answering a moment ago."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from rocksdict import Cache

from app.queries import WordQueries
from tables.partition_store import PartitionStore
from tables.rows import Marker, StoreState, pack_row
from tables.vocabulary import CountCache, Vocabulary


def state_at(position: int, ahead: int) -> StoreState:
    marker = Marker(topic="texts", profile="unicode/1", origin=0, position=position)
    return StoreState(marker=marker, changelog_next=ahead, ahead=ahead)


@pytest.fixture(params=[True, False], ids=["cached", "read from stores"])
def queries(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WordQueries]:
    """Partition 0 is at 5; partition 1 is at 7 and has the rows of a flush to 9."""
    vocabulary, shards = Vocabulary(1000), {}
    for number, state in enumerate([state_at(5, 5), state_at(7, 9)]):
        store = PartitionStore(tmp_path / str(number), Cache(1 << 20))
        row = pack_row(3, state.ahead)
        store.commit(store.stage([b"word"], [row]), state)
        cache = CountCache(vocabulary, complete=request.param)
        cache.learn(pa.array([b"word"], pa.binary()), np.array([3]), state.exact_position)
        shards[number] = SimpleNamespace(store=store, cache=cache)
    asked = WordQueries(cast(Any, SimpleNamespace(shards=lambda: shards)), lambda: 2)
    yield asked
    asked.close()
    for shard in shards.values():
        shard.store.close()


async def test_a_count_leaves_a_partition_with_rows_ahead_out(queries: WordQueries) -> None:
    answer = await queries.get("word")
    assert (answer.value, answer.as_of, answer.complete, answer.missing_partitions) == (3, {0: 5}, False, [1])


async def test_a_list_leaves_a_partition_with_rows_ahead_out(queries: WordQueries) -> None:
    answer = await queries.list("", None, 10)
    assert (answer.value.words, answer.as_of, answer.missing_partitions) == ([("word", 3)], {0: 5}, [1])


async def test_top_leaves_a_partition_with_rows_ahead_out(queries: WordQueries) -> None:
    answer = await queries.top(10)
    assert (answer.value, answer.as_of, answer.missing_partitions) == ([("word", 3)], {0: 5}, [1])


async def test_a_look_up_gives_others_a_turn_after_each_read_of_a_store(
    queries: WordQueries, request: pytest.FixtureRequest
) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    await asyncio.sleep(0)
    before = turns
    await queries.get("word")
    other.cancel()
    # Partition 1 has rows ahead: its cache is not asked.
    assert turns - before >= (1 if request.node.callspec.params["queries"] else 2)
