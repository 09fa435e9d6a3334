"""The store on a real RocksDB: what survives a killed process, what a damaged file does, and what readers see meanwhile.

What a flush, a close and a lock do is in `tests/simulation/test_store_contract.py`.
"""

import errno
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from rocksdict import Cache

from tables.errors import (
    NotReadyError,
    StateLockedError,
    StoreCorruptedError,
    StoreFullError,
    StoreUnavailableError,
)
from tables.model.names import STATE_KEY
from tables.store import partition_store
from tables.store.partition_store import PartitionStore, destroy_store
from tables.store.sst_file import SstFile
from tests.fakes.rows import pack_row
from tests.unit.tables.store.flushes import FLUSHES, LARGE, SMALL, WRITER, flush, state


def open_store(folder: Path) -> PartitionStore:
    return PartitionStore(folder, Cache(1 << 20))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartitionStore]:
    opened = open_store(tmp_path / "0")
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", FLUSHES)
@pytest.mark.parametrize("commits", [1, 4, 13])
def test_a_killed_process_leaves_the_store_at_one_of_its_flushes(
    tmp_path: Path, kind: str, commits: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "0"), kind], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        for _ in range(commits):
            assert writer.stdout.readline()
        writer.kill()
        last = max([commits, *(int(line) for line in writer.stdout.read().split())]) + 1

    opened = open_store(tmp_path / "0")
    position = opened.state.position
    kinds, rows = FLUSHES[kind], {}
    for flushed in range(1, position + 1):
        rows.update(dict.fromkeys(kinds[flushed % len(kinds)], pack_row(flushed, flushed)))
    large = [flushed for flushed in range(1, commits + 1) if kinds[flushed % len(kinds)] is LARGE]
    assert max([0, *large]) <= position <= last
    assert dict(opened.rows()) == rows
    flush(opened, position + 1, LARGE)
    assert opened.get_many([LARGE[0], LARGE[-1]]) == [pack_row(position + 1, position + 1)] * 2
    opened.close()


def test_a_store_of_another_process_is_locked(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "0"), "small"], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        try:
            with pytest.raises(StateLockedError, match="WORDCOUNT_STATE_DIR"):
                open_store(tmp_path / "0")
        finally:
            writer.kill()


def damaged(folder: Path, offset: Callable[[int], int]) -> None:
    [file] = folder.glob("*.sst")
    content = bytearray(file.read_bytes())
    content[offset(len(content))] ^= 0x55
    file.write_bytes(content)


def _snapshot_rows(store: PartitionStore) -> list[tuple[bytes, bytes]]:
    with store.snapshot() as view:
        return list(view.rows())


READS: dict[str, Callable[[PartitionStore], object]] = {
    "get_at": lambda store: [store.get_at(word) for word in LARGE],
    "get_many": lambda store: store.get_many(LARGE),
    "scan": lambda store: store.scan(b"", len(LARGE)),
    "slices": lambda store: list(store.slices()),
    "rows": lambda store: list(store.rows()),
    "snapshot": _snapshot_rows,
}


@pytest.mark.parametrize("read", READS)
def test_a_damaged_block_is_an_error_on_every_read_path(tmp_path: Path, read: str) -> None:
    opened = open_store(tmp_path / "0")
    flush(opened, 5, LARGE)
    opened.close()
    damaged(tmp_path / "0", lambda size: size // 3)
    opened = open_store(tmp_path / "0")
    with pytest.raises(StoreCorruptedError):
        READS[read](opened)
    opened.close()


@pytest.mark.slow
def test_no_damage_anywhere_gives_a_wrong_answer(tmp_path: Path) -> None:
    random = Random(1)
    values = [random.randbytes(16) for _ in LARGE]
    opened = open_store(tmp_path / "0")
    opened.commit(opened.stage(LARGE, values), state(5))
    opened.close()
    [file] = (tmp_path / "0").glob("*.sst")
    content = file.read_bytes()
    noticed = 0
    for _ in range(60):
        at = random.randrange(len(content))
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        try:
            opened = open_store(tmp_path / "0")
        except StoreCorruptedError:
            noticed += 1
            continue
        try:
            assert opened.get_many(LARGE) == values
            assert dict(opened.rows()) == dict(zip(LARGE, values, strict=True))
            assert [opened.get_at(word) for word in SMALL] == [(value, 5) for value in values[::50]]
        except StoreCorruptedError:
            noticed += 1
        finally:
            opened.close()
    assert noticed > 50


def test_a_missing_file_is_an_error_when_opened(tmp_path: Path) -> None:
    opened = open_store(tmp_path / "0")
    flush(opened, 5, LARGE)
    opened.close()
    [file] = (tmp_path / "0").glob("*.sst")
    file.unlink()
    with pytest.raises(StoreCorruptedError):
        open_store(tmp_path / "0")


def test_a_state_that_cannot_be_read_is_an_error_when_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_store(tmp_path / "0")
    monkeypatch.setattr(partition_store, "encode_state", lambda _: b"{}")
    flush(opened, 5, SMALL)
    opened.close()
    for _ in range(2):
        with pytest.raises(StoreCorruptedError, match="state"):
            open_store(tmp_path / "0")


@pytest.mark.parametrize(
    "error",
    [
        Exception("IO error: No space left on device: While appending to file"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=["RocksDB's", "the system's"],
)
def test_a_full_disk_is_told_apart_from_damage(
    store: PartitionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_space(_: SstFile) -> None:
        raise error

    monkeypatch.setattr(SstFile, "save", no_space)
    with pytest.raises(StoreFullError, match="free disk space"):
        store.stage(LARGE, [pack_row(1, 1)] * len(LARGE))
    assert list((tmp_path / "0.staging").iterdir()) == []


def test_keys_that_do_not_ascend_are_refused(store: PartitionStore) -> None:
    with pytest.raises(StoreUnavailableError, match="ascending"):
        store.stage(LARGE[::-1], [pack_row(1, 1)] * len(LARGE))


def test_what_a_former_process_staged_is_removed(tmp_path: Path) -> None:
    opened = open_store(tmp_path / "0")
    opened.stage(LARGE, [pack_row(1, 1)] * len(LARGE))
    opened.close()
    assert not (tmp_path / "0.staging").exists()
    (tmp_path / "0.staging").mkdir()
    (tmp_path / "0.staging" / "1.sst").write_bytes(b"left over")
    opened = open_store(tmp_path / "0")
    assert list((tmp_path / "0.staging").iterdir()) == []
    opened.close()


def test_discarding_removes_the_staged_file(store: PartitionStore, tmp_path: Path) -> None:
    staged = store.stage(LARGE, [pack_row(1, 1)] * len(LARGE))
    assert len(list((tmp_path / "0.staging").iterdir())) == 1
    staged.discard()
    assert list((tmp_path / "0.staging").iterdir()) == []


@pytest.mark.parametrize("words", [SMALL, LARGE], ids=["small", "large"])
def test_a_row_is_read_with_the_position_of_its_own_flush(store: PartitionStore, words: list[bytes]) -> None:
    assert store.get_at(b"word-000000") == (None, 0)
    flush(store, 5, words)
    assert store.get_at(words[0]) == (pack_row(5, 5), 5)
    assert store.get_at(b"absent") == (None, 5)


def test_a_snapshot_does_not_see_later_flushes(store: PartitionStore) -> None:
    flush(store, 5, SMALL)
    with store.snapshot() as view:
        flush(store, 6, LARGE)
        flush(store, 7, SMALL)
        assert view.position == 5
        assert dict(view.rows()) == dict.fromkeys(SMALL, pack_row(5, 5))
    with store.snapshot() as view:
        assert (view.position, len(list(view.rows()))) == (7, len(LARGE))


def test_a_scan_begins_at_the_first_word_that_is_not_smaller_and_keeps_to_its_prefix(
    store: PartitionStore,
) -> None:
    words = ["ab", "b", "ba", "bb", "bé", "c", "\U0010ffff"]
    flush(store, 5, [word.encode() for word in words])

    def found(start: str, limit: int, prefix: str = "") -> list[str]:
        with store.snapshot() as view:
            return [w.decode() for w, _ in view.scan(start.encode(), limit, prefix.encode())]

    assert found("", 10) == words
    assert found("", 2) == ["ab", "b"]
    assert found("b\0", 2) == ["ba", "bb"]
    assert found("", 10, "b") == ["b", "ba", "bb", "bé"]
    assert found("bb", 10, "b") == ["bb", "bé"]
    assert found("c", 10, "b") == []
    assert found("d", 10) == ["\U0010ffff"]
    assert found("", 0) == []


def test_the_state_is_no_word(store: PartitionStore) -> None:
    flush(store, 5, SMALL)
    assert STATE_KEY not in dict(store.rows())
    with store.snapshot() as view:
        assert view.scan(b"\xff", 10) == []


@pytest.mark.slow
def test_closing_waits_for_a_snapshot_and_ends_its_rows(store: PartitionStore) -> None:
    flush(store, 5, LARGE)
    with store.snapshot() as view:
        rows = view.rows()
        assert next(rows)[0] == LARGE[0]
        closing = threading.Thread(target=store.close)
        closing.start()
        with pytest.raises(NotReadyError):
            while True:
                next(rows)
                closing.join(0.001)
        assert closing.is_alive()
    closing.join(10)
    assert not closing.is_alive()
    with pytest.raises(NotReadyError), store.snapshot():
        pass


def read_on(store: PartitionStore, read: str, ends: list[BaseException]) -> None:
    try:
        while True:
            _ = store.get_at(SMALL[0]) if read == "word" else store.stored_state()
    except BaseException as error:
        ends.append(error)


@pytest.mark.slow
@pytest.mark.parametrize("read", ["word", "state"])
def test_a_store_can_be_closed_while_it_is_read(tmp_path: Path, read: str) -> None:
    """rocksdict refuses to close what is being read: the lock of the folder would stay."""
    for number in range(30):
        store = PartitionStore(tmp_path / str(number), Cache(1 << 20))
        flush(store, 1, SMALL)
        ends: list[BaseException] = []
        readers = [threading.Thread(target=read_on, args=(store, read, ends)) for _ in range(2)]
        for reader in readers:
            reader.start()
        store.close()
        for reader in readers:
            reader.join(10)
        assert [type(error) for error in ends] == [NotReadyError] * 2
        PartitionStore(tmp_path / str(number), Cache(1 << 20)).close()


def test_a_close_on_a_full_disk_says_so_and_leaves_nothing_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_store(tmp_path / "0")
    flush(opened, 5, SMALL)

    def no_space(*_: object) -> None:
        raise Exception("IO error: No space left on device: While appending to file: 000010.sst")

    database = opened._db
    monkeypatch.setattr(opened, "_db", SimpleNamespace(flush=no_space, close=no_space))
    with pytest.raises(StoreFullError):
        opened.close()
    assert not (tmp_path / "0.staging").exists()
    database.close()


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.75, 0.9], ids="at {} of the file".format)
def test_a_damaged_store_can_be_rebuilt_while_the_error_is_still_being_reported(
    tmp_path: Path, read: str, part: float
) -> None:
    opened = open_store(tmp_path / "0")
    flush(opened, 5, LARGE)
    opened.close()
    damaged(tmp_path / "0", lambda size: int(size * part))
    opened = reported = None
    try:
        opened = open_store(tmp_path / "0")
        READS[read](opened)
    except StoreCorruptedError as error:
        reported = error
    if opened is not None:
        opened.abandon()
    destroy_store(tmp_path / "0")
    open_store(tmp_path / "0").close()
    del reported


def test_a_store_whose_damage_a_compaction_met_can_be_rebuilt(tmp_path: Path) -> None:
    """RocksDB then refuses to write what is in memory, also when the store is closed."""
    opened = open_store(tmp_path / "0")
    flush(opened, 1, LARGE)
    opened.close()
    damaged(tmp_path / "0", lambda size: size // 3)
    opened = open_store(tmp_path / "0")
    deadline = time.monotonic() + 20
    with pytest.raises(StoreCorruptedError):
        for position in itertools.count(2):
            flush(opened, position, (SMALL, LARGE)[position % 2])
            assert time.monotonic() < deadline, "no compaction met the damage"
    opened.abandon()
    destroy_store(tmp_path / "0")
    open_store(tmp_path / "0").close()


def test_a_store_that_opens_but_has_a_damaged_state_can_be_rebuilt_while_the_error_is_being_reported(
    tmp_path: Path,
) -> None:
    opened = open_store(tmp_path / "0")
    flush(opened, 5, [])
    opened.close()
    damaged(tmp_path / "0", lambda _: 0)
    with pytest.raises(StoreCorruptedError) as reported:
        open_store(tmp_path / "0")
    destroy_store(tmp_path / "0")
    open_store(tmp_path / "0").close()
    assert reported.value
