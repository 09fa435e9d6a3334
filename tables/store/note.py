"""The note beside a store's folder: what the process that closed the store knew of its rows. It may be missing at any time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def taken_note(folder: Path) -> bytes:
    """Return the note beside `folder` and remove it; b"" = there is none, or it cannot be read or removed."""
    path = _path(folder)
    try:
        note = path.read_bytes()
        path.unlink()
    except OSError:
        return b""
    return note


def leave_note(folder: Path, note: bytes) -> None:
    """Write the note beside `folder`, whole or not at all. A system that refuses leaves no note, and nothing is lost by that."""
    path = _path(folder)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()


def _path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".note")
