"""Consistent reads: while flushes are written, an answer has exactly the counts at the position that it names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rocksdict import Cache

from tables.cache.counts import CountCache
from tables.cache.vocabulary import Vocabulary
from tables.errors import NotReadyError
from tables.model.rows import Marker, StoreState, unpack_row
from tables.store.partition_store import SMALL_FLUSH_ROWS, PartitionStore
from tests.fakes.rows import pack_row

READS = 2_000


def state_at(position: int) -> StoreState:
    marker = Marker(topic="texts", profile="unicode/1", origin=0, position=position)
    return StoreState(marker=marker, examined=position, max_upto=position)


@contextmanager
def flushes(store: PartitionStore, rows: int) -> Iterator[None]:
    """Commit flushes in a thread until the block ends; in each flush the count of every word equals the position."""
    words = [b"%06d" % number for number in range(rows)]
    ended = threading.Event()
    failed: list[BaseException] = []

    def flush() -> None:
        position = 0
        try:
            while not ended.is_set():
                position += 1
                store.commit(store.stage(words, [pack_row(position, position)] * rows), state_at(position))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failed


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartitionStore]:
    opened = PartitionStore(tmp_path / "store", Cache(1 << 20))
    yield opened
    opened.close()


@pytest.mark.parametrize("rows", [10, SMALL_FLUSH_ROWS + 1])
def test_row_and_position_are_of_one_flush(store: PartitionStore, rows: int) -> None:
    positions = set()
    with flushes(store, rows):
        while len(positions) < 3:
            for _ in range(READS):
                row, position = store.get_at(b"000007")
                assert (unpack_row(row)[0] if row else 0) == position
                positions.add(position)


@pytest.mark.parametrize("rows", [10, SMALL_FLUSH_ROWS + 1])
def test_a_snapshot_shows_one_flush_however_long_it_is_read(store: PartitionStore, rows: int) -> None:
    positions = set()
    with flushes(store, rows):
        while len(positions) < 3:
            with store.snapshot() as view:
                counts = {unpack_row(row)[0] for _, row in view.rows()}
                assert counts == ({view.position} if view.position else set())
                positions.add(view.position)


def test_a_close_waits_for_snapshots_and_admits_no_more(tmp_path: Path) -> None:
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    store.commit(store.stage([b"a", b"b"], [pack_row(1, 1)] * 2), state_at(1))
    closing = threading.Thread(target=store.close)
    with store.snapshot() as view:
        rows = view.rows()
        assert next(rows)[0] == b"a"
        closing.start()
        closing.join(0.2)
        assert closing.is_alive()
        with pytest.raises(NotReadyError), store.snapshot():
            pass
    closing.join(10)
    assert not closing.is_alive()
    PartitionStore(tmp_path / "store", Cache(1 << 20)).close()


def test_cached_counts_and_their_position_are_of_one_flush() -> None:
    vocabulary = Vocabulary(1_000_000)
    cache = CountCache(vocabulary, complete=True)
    ids = vocabulary.ids(pa.array([b"%06d" % number for number in range(5_000)], pa.binary()))
    ended = threading.Event()

    def update() -> None:
        position = 0
        while not ended.is_set():
            position += 1
            cache.update(ids, np.full(len(ids), position, np.int64), position)

    thread = threading.Thread(target=update)
    thread.start()
    try:
        for _ in range(READS):
            sums = np.zeros(len(vocabulary), np.int64)
            position = cache.add_to(sums)
            assert set(sums.tolist()) == {position}
    finally:
        ended.set()
        thread.join()
