"""Damage of a store's manifest that RocksDB does not report: it reads for ever, and holds the GIL.

A manifest is a log: blocks of 32 KiB, in them records of a checksum, a length, a type and so many bytes. Where a flipped bit makes
the type one that only recycled write-ahead logs have, RocksDB (as in rocksdict 0.3.29) never comes to an end. Everything else that
is wrong with a manifest it says itself.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from tables.errors import StoreCorruptedError

_BLOCK_BYTES: Final = 32 << 10
_HEADER: Final = struct.Struct("<IHB")
_LAST_TYPE: Final = 4
"""Whole, first, middle and last part of a record are 1 to 4; 0 is space that was taken in advance."""


def check_manifest(folder: Path) -> None:
    """Raises StoreCorruptedError where RocksDB would read the manifest of the store in `folder` for ever; holds a block at a time."""
    try:
        manifest = folder / (folder / "CURRENT").read_text("ascii").strip()
        with manifest.open("rb") as log:
            while block := log.read(_BLOCK_BYTES):
                if kind := _unknown_type(block):
                    raise StoreCorruptedError(
                        f"the store {folder} is damaged (a record of {manifest.name} has the type {kind})",
                        folder=folder,
                    )
    except (OSError, ValueError):
        return  # RocksDB says what is missing.


def _unknown_type(block: bytes) -> int:
    """The first type that manifests do not have; 0 = none."""
    at = 0
    while at + _HEADER.size <= len(block):
        _, length, kind = _HEADER.unpack_from(block, at)
        if kind > _LAST_TYPE:
            return int(kind)
        if not kind:
            break
        at += _HEADER.size + length
    return 0
