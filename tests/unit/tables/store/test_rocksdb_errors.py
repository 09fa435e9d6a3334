"""Errors of RocksDB and of the system: only real corruption is treated as damage of a store."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rocksdict import Cache

from tables.errors import (
    StateLockedError,
    StoreCorruptedError,
    StoreFullError,
    StoreUnavailableError,
    WordcountError,
)
from tables.store.partition_store import SMALL_FLUSH_ROWS, PartitionStore
from tables.store.rocksdb_errors import store_errors
from tables.store.stores import Stores
from tests.fakes.rows import pack_row
from tests.unit.tables.store.flushes import flush

WORDS = [b"word-%06d" % i for i in range(SMALL_FLUSH_ROWS + 1000)]


@contextmanager
def few_files(more: int) -> Iterator[None]:
    """Within, at most so many more files can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The limit bounds the number that a file gets, and not how many are open: numbers that became free may be given again.
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("more", range(14))
def test_a_store_that_cannot_be_opened_for_want_of_files_is_kept(tmp_path: Path, more: int) -> None:
    stores = Stores(tmp_path)
    opened = stores.open(0)
    flush(opened, 1, WORDS)
    flush(opened, 2, WORDS[:3])
    opened.close()
    try:
        with few_files(more):
            stores.open(0).close()
    except StoreUnavailableError as error:
        assert "open files" in str(error)
    else:
        assert more >= 6, "so few files are not enough: nothing was tested"
    opened = stores.open(0)
    assert opened.state.position == 2
    assert opened.get_many(WORDS[:3] + WORDS[-1:]) == [pack_row(2, 2)] * 3 + [pack_row(1, 1)]
    opened.close()


@pytest.mark.parametrize("words", [WORDS, WORDS[:3]], ids=["large", "small"])
def test_a_flush_that_lacks_files_changes_nothing_and_says_what_lacks(
    tmp_path: Path, words: list[bytes]
) -> None:
    store = PartitionStore(tmp_path / "0", Cache(1 << 20))
    flush(store, 1, WORDS[:3])
    with few_files(0), pytest.raises(StoreUnavailableError, match="open files"):
        flush(store, 2, WORDS)
    assert store.state.position == 1
    flush(store, 2, words)
    assert store.get_at(WORDS[0]) == (pack_row(2, 2), 2)
    store.close()


def test_a_folder_that_is_removed_under_a_store_is_named_and_no_damage(tmp_path: Path) -> None:
    store = PartitionStore(tmp_path / "state" / "0", Cache(1 << 20))
    flush(store, 1, WORDS)
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError, match="removed the state folder"):
        flush(store, 2, WORDS)
    (tmp_path / "elsewhere").rename(tmp_path / "state")
    store.close()


IO_ERROR = "IO error: While open a file for appending: /state/0/000012.sst: "


@pytest.mark.parametrize(
    "code", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.EACCES, errno.EROFS]
)
@pytest.mark.parametrize("rocksdb", [True, False], ids=["rocksdb", "system"])
def test_what_the_system_refuses_is_no_damage(tmp_path: Path, code: int, rocksdb: bool) -> None:
    text = os.strerror(code)
    error: Exception = Exception(IO_ERROR + text) if rocksdb else OSError(code, text)
    with pytest.raises(StoreUnavailableError) as found, store_errors(tmp_path):
        raise error
    assert text in found.value.message
    assert found.value.remedy
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("rocksdb", [True, False], ids=["rocksdb", "system"])
def test_a_full_disk_and_a_full_quota_are_told(tmp_path: Path, code: int, rocksdb: bool) -> None:
    text = os.strerror(code)
    with pytest.raises(StoreFullError, match="free"), store_errors(tmp_path):
        raise Exception(IO_ERROR + text) if rocksdb else OSError(code, text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Corruption: block checksum mismatch", StoreCorruptedError),
        (
            "Corruption: Can't access /000012.sst: IO error: While open: Too many open files",
            StoreUnavailableError,
        ),
        ("IO error: lock hold by current process", StateLockedError),
        ("IO error: While lock file: LOCK: Resource temporarily unavailable", StateLockedError),
        ("IO error: While lock file: LOCK: Permission denied", StoreUnavailableError),
        ("Invalid argument: keys must be added in order", StoreUnavailableError),
        ("Operation aborted: something new", StoreUnavailableError),
    ],
)
def test_only_corruption_is_corruption(tmp_path: Path, text: str, kind: type[WordcountError]) -> None:
    with pytest.raises(kind), store_errors(tmp_path):
        raise Exception(text)


@pytest.mark.parametrize("error", [TypeError("a mistake"), MemoryError(), KeyboardInterrupt()])
def test_what_is_no_error_of_a_store_passes(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), store_errors(tmp_path):
        raise error
