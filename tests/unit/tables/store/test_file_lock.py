"""Locks of files, held by this process and wanted through other descriptors: the system tells them apart as it does processes."""

import threading
import time

import pytest

from tables.errors import ConfigurationError, StateLockedError
from tables.store.file_lock import FileLock
from tables.store.folder_lock import StateLock


def test_a_second_one_does_not_get_the_lock_and_sees_who_holds_it(tmp_path):
    first, second = FileLock(tmp_path / "new" / "LOCK"), FileLock(tmp_path / "new" / "LOCK")
    assert first.take()
    assert second.holder() == ""
    first.name_holder(4711)
    assert not second.take()
    assert second.holder() == "4711"
    first.close()
    assert second.take()
    assert second.holder() == "", "a former holder's name is gone"
    second.close()


def test_one_that_waits_gets_the_lock_when_it_is_free(tmp_path):
    first, second = FileLock(tmp_path / "LOCK"), FileLock(tmp_path / "LOCK")
    assert first.take()
    waiting = threading.Thread(target=second.take, args=(60.0,))
    waiting.start()
    first.close()
    waiting.join(30.0)
    assert not waiting.is_alive()
    third = FileLock(tmp_path / "LOCK")
    assert not third.take()
    second.close()
    third.close()


def test_waiting_ends(tmp_path):
    first, second = FileLock(tmp_path / "LOCK"), FileLock(tmp_path / "LOCK")
    assert first.take()
    began_s = time.monotonic()
    assert not second.take(0.05)
    assert time.monotonic() - began_s >= 0.05
    first.close()
    second.close()


def test_a_state_folder_in_use_is_refused_with_the_process_that_holds_it(tmp_path):
    held = FileLock(tmp_path / "LOCK")
    assert held.take()
    with pytest.raises(StateLockedError, match="is in use by process unknown"):
        StateLock(tmp_path)
    held.name_holder(4711)
    with pytest.raises(StateLockedError, match="is in use by process 4711"):
        StateLock(tmp_path)
    held.close()
    StateLock(tmp_path).release()


def test_a_state_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        StateLock(tmp_path / "file")
