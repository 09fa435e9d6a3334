"""Check of a store's manifest for damage that RocksDB does not report: RocksDB would read the manifest for ever and hold the GIL.

A manifest is a log of blocks of 32 KiB. A block holds records: a checksum, a length, a type, and as many bytes as the length says. If
a flipped bit makes the type one that only recycled write-ahead logs have, RocksDB (as in rocksdict 0.3.29) reads in an endless loop.
RocksDB reports all other damage of a manifest itself.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from tables.errors import StoreCorruptedError

_BLOCK_BYTES: Final = 32 << 10
_HEADER: Final = struct.Struct("<IHB")
_LAST_TYPE: Final = 4
"""Types 1 to 4 are a whole record and the first, middle and last part of a record; type 0 is space that was reserved in advance."""


def check_manifest(folder: Path) -> None:
    """Check the manifest of the store in `folder`, one block in memory at a time. A folder without a manifest passes.

    Raises:
        StoreCorruptedError: RocksDB would read the manifest for ever.
    """
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
        return  # RocksDB reports a missing or unreadable manifest when it opens the store.


def _unknown_type(block: bytes) -> int:
    """Return the first type in `block` that no manifest has; 0 = all types are known."""
    at = 0
    while at + _HEADER.size <= len(block):
        _, length, kind = _HEADER.unpack_from(block, at)
        if kind > _LAST_TYPE:
            return int(kind)
        if not kind:
            break
        at += _HEADER.size + length
    return 0
