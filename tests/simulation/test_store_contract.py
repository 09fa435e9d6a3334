"""What the tables expect of a store, asked of RocksDB and of the store in memory that the simulation uses."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

import pytest
from rocksdict import Cache

from tables.errors import NotReadyError, StateLockedError
from tables.model.rows import Marker, StoreState
from tables.model.windows import END_OF_PANES, Cleared, Pane
from tables.store import partition_store
from tables.store.partition_store import PartitionStore, destroy_store
from tests.simulation import disks
from tests.simulation.disks import Disks


class Stores(Protocol):
    """Folders that survive crashes."""

    def open(self) -> Any: ...
    def crash(self, store: Any) -> None:
        """End the process that has `store` open, and forget what only its memory held."""

    def destroy(self) -> None: ...


class RocksStores:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def open(self) -> PartitionStore:
        return PartitionStore(self._folder / str(self._number), Cache(1 << 20))

    def crash(self, store: PartitionStore) -> None:
        # What is on the disk at this moment, under another name: the first one stays locked until `store` is closed.
        shutil.copytree(self._folder / str(self._number), self._folder / str(self._number + 1))
        self._number += 1
        store.close()

    def destroy(self) -> None:
        destroy_store(self._folder / str(self._number))


class MemoryStores:
    def __init__(self) -> None:
        self._disks = Disks()
        self._folder = Path("/machine/0")

    def open(self) -> disks.MemoryStore:
        return self._disks.open(self._folder, None)

    def crash(self, store: disks.MemoryStore) -> None:
        disk = self._disks.by_folder[self._folder]
        disk.crash(Random(1))

    def destroy(self) -> None:
        self._disks.destroy(self._folder)


@pytest.fixture(params=["rocksdb", "memory"])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    monkeypatch.setattr(partition_store, "SMALL_FLUSH_ROWS", disks.SMALL_FLUSH_ROWS)
    return RocksStores(tmp_path) if request.param == "rocksdb" else MemoryStores()


def state(position: int) -> StoreState:
    marker = Marker(topic="input", profile="p", origin=0, position=position)
    return StoreState(marker=marker, examined=position + 1, max_upto=position)


def flush(store: Any, position: int, words: Sequence[bytes]) -> None:
    store.commit(store.stage(words, [b"%016d" % position] * len(words)), state(position))


SMALL, LARGE = [b"b", b"d"], [b"a", b"b", b"c", b"d", b"e"]


def test_a_new_store_is_empty(stores: Stores) -> None:
    store = stores.open()
    assert store.state == StoreState(marker=None, examined=0, max_upto=0)
    assert (list(store.rows()), store.get_many([b"a"])) == ([], [None])
    store.close()


@pytest.mark.parametrize("words", [SMALL, LARGE], ids=["small", "large"])
def test_rows_and_state_are_visible_after_a_commit_and_not_before(stores: Stores, words: list[bytes]) -> None:
    store = stores.open()
    staged = store.stage(words, [b"%016d" % 5] * len(words))
    assert (list(store.rows()), store.state.position) == ([], 0)
    store.commit(staged, state(5))
    assert list(store.rows()) == [(word, b"%016d" % 5) for word in words]
    assert store.get_many([words[-1], b"x", words[0]]) == [b"%016d" % 5, None, b"%016d" % 5]
    assert store.state == state(5)
    store.close()


def test_the_later_flush_wins_whatever_their_sizes(stores: Stores) -> None:
    store = stores.open()
    for position, words in enumerate([SMALL, LARGE, SMALL, LARGE, LARGE, SMALL]):
        flush(store, position, words)
        assert store.get_many([b"b", b"d"]) == [b"%016d" % position] * 2
    assert store.get_many([b"a"]) == [b"%016d" % 4]
    store.close()


def test_rows_come_in_byte_order_also_in_slices(stores: Stores) -> None:
    store = stores.open()
    words = sorted(b"%03d" % i for i in range(50))
    flush(store, 5, words)
    assert [word for word, _ in store.rows()] == words
    assert [word for part in store.slices() for word, _ in part] == words
    assert [word for word, _ in store.scan(b"017", 3)] == [b"017", b"018", b"019"]
    store.close()


def test_discarded_rows_are_never_seen(stores: Stores) -> None:
    store = stores.open()
    store.stage(LARGE, [b"%016d" % 5] * len(LARGE)).discard()
    store.stage(SMALL, [b"%016d" % 5] * len(SMALL)).discard()
    flush(store, 7, SMALL)
    assert [word for word, _ in store.rows()] == SMALL
    store.close()


def test_a_closed_store_comes_back_as_it_was(stores: Stores) -> None:
    store = stores.open()
    flush(store, 5, LARGE)
    flush(store, 6, SMALL)
    store.close()
    store = stores.open()
    assert store.state == state(6)
    assert store.get_many([b"a", b"b"]) == [b"%016d" % 5, b"%016d" % 6]
    store.close()


@pytest.mark.parametrize(
    "flushes", [[SMALL, SMALL], [LARGE, SMALL, SMALL], [SMALL, LARGE, SMALL, LARGE], [LARGE]]
)
def test_after_a_crash_a_store_is_at_one_of_its_flushes(stores: Stores, flushes: list[list[bytes]]) -> None:
    store = stores.open()
    rows: dict[bytes, bytes] = {}
    history = {0: dict(rows)}
    for position, words in enumerate(flushes, 1):
        flush(store, position, words)
        rows.update(dict.fromkeys(words, b"%016d" % position))
        history[position] = dict(rows)
    durable = max([0, *(position for position, words in enumerate(flushes, 1) if words is LARGE)])
    stores.crash(store)
    store = stores.open()
    assert store.state.position >= durable
    assert dict(store.rows()) == history[store.state.position]
    assert (store.state.marker is None) == (store.state.position == 0)
    store.close()


def test_an_open_store_is_locked(stores: Stores) -> None:
    store = stores.open()
    with pytest.raises(StateLockedError):
        stores.open()
    store.close()
    stores.open().close()


def test_a_closed_store_answers_nothing(stores: Stores) -> None:
    store = stores.open()
    flush(store, 5, SMALL)
    store.close()
    for use in (lambda: store.get_many([b"b"]), lambda: list(store.rows()), lambda: flush(store, 6, SMALL)):
        with pytest.raises(NotReadyError):
            use()


def test_a_store_may_be_closed_again_and_does_not_release_its_successor(stores: Stores) -> None:
    store = stores.open()
    flush(store, 5, SMALL)
    store.close()
    successor = stores.open()
    store.close()
    store.abandon()
    with pytest.raises(StateLockedError):
        stores.open()
    assert successor.state == state(5)
    successor.close()


def test_a_note_is_for_the_next_opening_alone(stores: Stores) -> None:
    store = stores.open()
    assert store.take_note() == b""
    flush(store, 5, SMALL)
    store.close(b"of five")
    store.close(b"of nobody")
    store = stores.open()
    assert store.take_note() == b"of five"
    assert store.take_note() == b""
    flush(store, 6, SMALL)
    stores.crash(store)
    store = stores.open()
    assert store.take_note() == b"", "it was taken away before the flush"
    store.close(b"of six")
    successor = stores.open()
    store.close(b"of a former one")
    successor.close()
    store = stores.open()
    assert store.take_note() == b""
    store.close(b"of what is destroyed")
    stores.destroy()
    store = stores.open()
    assert store.take_note() == b""
    store.close()


def test_a_destroyed_store_is_empty_again(stores: Stores) -> None:
    store = stores.open()
    flush(store, 5, LARGE)
    store.abandon()
    stores.destroy()
    store = stores.open()
    assert (store.state.marker, list(store.rows())) == (None, [])
    store.close()


@pytest.mark.parametrize("words", [SMALL, LARGE], ids=["small", "large"])
def test_notes_are_written_and_cleared_with_a_flush_and_are_no_rows(
    stores: Stores, words: list[bytes]
) -> None:
    store = stores.open()
    notes = [(Pane(60, start_s).note_key, b"%d" % start_s) for start_s in (0, 60, 120)]
    rows = [b"%016d" % 1] * len(words)
    store.commit(store.stage(words, rows), state(1), notes=notes)
    with store.snapshot() as view:
        assert [view.value_of(key) for key, _ in notes] == [b"0", b"60", b"120"]
        assert view.scan(b"", 100, end=END_OF_PANES) == list(zip(words, rows, strict=True))
    cleared = Cleared([(notes[0][0], notes[1][0])], 0)
    store.commit(store.stage(words, rows), state(2), cleared, [(notes[2][0], b"")])
    with store.snapshot() as view:
        assert [view.value_of(key) for key, _ in notes] == [None, b"60", b""]
    store.close()


def test_many_values_are_read_with_the_state_of_the_same_flush(stores: Stores) -> None:
    store = stores.open()
    flush(store, 3, SMALL)
    assert store.get_many_at([b"b", b"c", b"d"]) == ([b"%016d" % 3, None, b"%016d" % 3], state(3))
    assert store.get_many_at([]) == ([], state(3))
    store.close()
    with pytest.raises(NotReadyError):
        store.get_many_at([b"b"])
