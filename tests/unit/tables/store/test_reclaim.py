"""The disk of cleared rows: given back without further writes, while rows are written, and when the store is closed meanwhile."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from rocksdict import Cache

from tables.model.windows import Cleared, Pane, size_prefix
from tables.store.partition_store import PartitionStore
from tables.store.reclaim import LEAST_ROWS, SHARE
from tests.fakes.rows import pack_row
from tests.unit.tables.store.flushes import state

PART = 40_000
"""Rows of a pane: more than a small flush has."""

WORDS = [b"%07d" % number for number in range(PART)]


class Filled:
    """A store with some words and panes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = PartitionStore(folder, Cache(1 << 20))
        self._positions = count(1)

    def write(self, keys: list[bytes], cleared: Cleared | None = None) -> None:
        position = next(self._positions)
        staged = self.store.stage(keys, [pack_row(1, position)] * len(keys))
        self.store.commit(staged, state(position), *([] if cleared is None else [cleared]))

    def write_panes(self, panes: int) -> None:
        for pane in range(panes):
            self.write(pane_keys(pane))

    @property
    def disk_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*.sst"))

    def keys(self) -> set[bytes]:
        return {key for part in self.store.slices(b"", b"\xfe") for key, _ in part}


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    opened = Filled(tmp_path / "0")
    yield opened
    opened.store.close()


def prefix(pane: int) -> bytes:
    return Pane(60, 60 * pane).prefix


def pane_keys(pane: int) -> list[bytes]:
    return [prefix(pane) + word for word in WORDS]


def panes_cleared(panes: int, rows: int | None = None) -> Cleared:
    """Return the rows of the first panes, as a flush clears them: in ranges that end with a row."""
    ranges = [(prefix(pane) + WORDS[0], prefix(pane) + WORDS[-1] + b"\0") for pane in range(panes)]
    return Cleared(ranges, panes * PART if rows is None else rows)


def wait_reclaimed(filled: Filled) -> None:
    deadline = time.monotonic() + 30
    while filled.store._reclaim.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_disk_of_cleared_rows_is_given_back_without_further_writes(filled: Filled) -> None:
    filled.write(WORDS)
    filled.write_panes(1)
    before = filled.disk_bytes
    filled.store.close()
    filled.store = PartitionStore(filled.folder, Cache(1 << 20))
    for pane in range(1, 6):
        filled.write(pane_keys(pane))
    assert filled.disk_bytes > 2 * before
    filled.write([b"a"], panes_cleared(5))
    wait_reclaimed(filled)
    assert filled.disk_bytes < 1.2 * before
    assert filled.keys() == {b"a", *WORDS, *pane_keys(5)}


@pytest.mark.parametrize("rows", [LEAST_ROWS - 1, 5 * PART // SHARE - 1])
def test_few_cleared_rows_are_left_to_rocksdb(filled: Filled, rows: int) -> None:
    filled.write_panes(2 if rows < LEAST_ROWS else 5)
    filled.write([b"a"], panes_cleared(1, rows))
    assert not filled.store._reclaim.is_running


def test_cleared_rows_add_up(filled: Filled) -> None:
    filled.write_panes(3)
    before = filled.disk_bytes
    filled.write([b"a"], panes_cleared(1, LEAST_ROWS - 1))
    assert not filled.store._reclaim.is_running
    filled.write([b"a"], Cleared(panes_cleared(2).ranges[1:], PART))
    wait_reclaimed(filled)
    assert filled.disk_bytes < 0.5 * before
    assert filled.keys() == {b"a", *pane_keys(2)}


def test_rows_are_written_while_disk_is_given_back(filled: Filled) -> None:
    filled.write_panes(12)
    filled.write([b"a"], panes_cleared(11))
    assert filled.store._reclaim.is_running
    filled.write([b"b"])
    filled.write(pane_keys(12))
    wait_reclaimed(filled)
    assert filled.keys() == {b"a", b"b", *pane_keys(11), *pane_keys(12)}


def test_a_store_is_closed_at_once_while_disk_is_given_back_and_keeps_its_last_rows(filled: Filled) -> None:
    filled.write_panes(25)
    filled.write([b"a"], panes_cleared(20))
    assert filled.store._reclaim.is_running
    filled.write([b"b"])
    begun = time.monotonic()
    filled.store.close()
    assert time.monotonic() - begun < 2
    filled.store = PartitionStore(filled.folder, Cache(1 << 20))
    assert filled.store.state.position == 27
    assert filled.keys() == {b"a", b"b", *(key for pane in range(20, 25) for key in pane_keys(pane))}


def test_sizes_are_given_back_apart(filled: Filled) -> None:
    """Between the cleared minutes and the cleared hours are minutes that count: no reason to move them."""
    hours = [Pane(3600, 0).prefix + word for word in WORDS]
    filled.write_panes(3)
    filled.write(hours)
    filled.write([b"a"], Cleared([*panes_cleared(1).ranges, (hours[0], hours[-1] + b"\0")], 0))
    reclaim = filled.store._reclaim
    reclaim.cleared(Cleared([*panes_cleared(1).ranges, (hours[0], hours[-1] + b"\0")], 1))
    assert reclaim._hulls == {
        size_prefix(60): (prefix(0) + WORDS[0], prefix(0) + WORDS[-1] + b"\0"),
        size_prefix(3600): (hours[0], hours[-1] + b"\0"),
    }
