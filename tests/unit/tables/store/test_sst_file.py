"""Files of large flushes: when their bytes are on disk, how RocksDB ingests them, and systems without memory files."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import psutil
import pytest
from rocksdict import Cache, Options, Rdict

from tables.model.rows import StoreState
from tables.store.partition_store import PartitionStore
from tables.store.sst_file import SstFile

RANDOM = Random(1)
WORDS = sorted({b"w" + RANDOM.randbytes(9) for _ in range(150_000)})
ROWS = [RANDOM.randbytes(16) for _ in WORDS]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Size of each file at the moment when it was synced."""
    sizes: list[int] = []
    monkeypatch.setattr("tables.store.sst_file.os.fsync", lambda file: sizes.append(os.fstat(file).st_size))
    return sizes


def forbidden(_: str) -> int:
    """What a system answers of which the administrator set `vm.memfd_noexec=2`."""
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture(params=["in memory", "no memory files", "memory files forbidden"])
def file(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SstFile]:
    if request.param == "no memory files":
        monkeypatch.delattr(os, "memfd_create")
    if request.param == "memory files forbidden":
        monkeypatch.setattr(os, "memfd_create", forbidden)
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    made = SstFile(tmp_path / "1.sst", store._options)
    yield made
    made.discard()
    store.close()


def test_a_finished_file_has_every_row(file: SstFile, tmp_path: Path) -> None:
    file.add(WORDS, ROWS)
    file.save()
    file.add([b"\xff"], [b"last"])
    file.finish()
    database = Rdict(str(tmp_path / "other"), Options(raw_mode=True))
    database.ingest_external_file([str(file.path)])
    found = dict(zip(database.keys(), database.values(), strict=True))
    database.close()
    assert found == dict(zip(WORDS, ROWS, strict=True)) | {b"\xff": b"last"}


def test_what_is_saved_is_the_file_but_for_little(file: SstFile, synced: list[int]) -> None:
    file.add(WORDS, ROWS)
    assert file.path.stat().st_size == 0
    file.save()
    saved = file.path.stat().st_size
    assert synced == [saved]
    file.finish()
    finished = file.path.stat().st_size
    assert synced == [saved, finished]
    assert finished > 4 << 20
    assert finished - saved < (1 << 20) + (256 << 10)


def test_a_disk_that_takes_parts_gets_every_byte(file: SstFile, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = file._disk
    part = SimpleNamespace(
        write=lambda piece: disk.write(piece[:300_001]), fileno=disk.fileno, close=disk.close
    )
    monkeypatch.setattr(file, "_disk", part)
    file.add(WORDS, ROWS)
    file.finish()
    file._memory.seek(0)
    assert file.path.read_bytes() == file._memory.read()


def test_rocksdb_itself_writes_to_memory_only(tmp_path: Path) -> None:
    """What it writes and syncs, it writes and syncs under the GIL."""
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    before = {opened.path for opened in psutil.Process().open_files()}
    file = SstFile(tmp_path / "1.sst", store._options)
    file.add(WORDS, ROWS)
    assert {opened.path for opened in psutil.Process().open_files()} - before == {str(file.path)}
    assert file.path.stat().st_size == 0
    file.discard()
    store.close()


def test_a_discarded_file_leaves_nothing_open(file: SstFile, tmp_path: Path) -> None:
    file.add(WORDS, ROWS)
    file.save()
    file.discard()
    file.discard()
    assert not file.path.exists()
    assert not [opened for opened in psutil.Process().open_files() if opened.path == str(file.path)]


def test_many_flushes_leave_nothing_open(tmp_path: Path) -> None:
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    state = StoreState(marker=None, examined=1, max_upto=0)
    store.commit(store.stage(WORDS, ROWS), state)
    before = _memory_files()
    for _ in range(3):
        store.commit(store.stage(WORDS, ROWS), state)
        store.stage(WORDS, ROWS).discard()
    assert _memory_files() == before
    store.close()


def _memory_files() -> int:
    return sum(
        "memfd:sst" in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()
    )
