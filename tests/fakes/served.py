"""A partition's rows as reads see them, in a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from rocksdict import Cache

from tables.cache.counts import CountCache
from tables.cache.vocabulary import Vocabulary
from tables.model.rows import Marker, StoreState
from tables.partitions.served_rows import ServedRows
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row


def served_by(store: PartitionStore, cache: CountCache) -> ServedRows:
    return ServedRows(store, lambda: cache)


def state_at(position: int, ahead: int) -> StoreState:
    marker = Marker(topic="texts", profile="unicode/1", origin=0, position=position)
    return StoreState(marker=marker, examined=ahead, max_upto=ahead)


@contextmanager
def partition_in_memory(folder: Path) -> Iterator[tuple[PartitionStore, ServedRows, CountCache]]:
    """One partition at 5 with the word `w` three times; its counts are in memory too."""
    store = PartitionStore(folder, Cache(1 << 20))
    cache = CountCache(Vocabulary(100), complete=True)
    rows = served_by(store, cache)
    rows.commit(store.stage([b"w"], [pack_row(3, 5)]), state_at(5, 5), column(b"w"), np.array([3]))
    cache.learn(column(b"w"), np.array([3]), 5)
    yield store, rows, cache
    store.close()


def commit_another_word(rows: ServedRows, store: PartitionStore) -> None:
    rows.commit(store.stage([b"x"], [pack_row(4, 9)]), state_at(9, 9), column(b"x"), np.array([4]))


def column(*words: bytes) -> pa.BinaryArray:
    return pa.array(words, pa.binary())
