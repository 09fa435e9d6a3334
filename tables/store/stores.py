"""Stores of this process: one folder per partition, and one block cache for all stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog
from rocksdict import Cache

from tables.errors import StoreCorruptedError
from tables.pace.memory import MemoryBounds
from tables.store.partition_store import WRITE_BUFFER_BYTES, PartitionStore, destroy_store
from tables.threads import beside_the_loop

_log = structlog.get_logger(__name__)

BLOCK_CACHE_BYTES = 64 << 20
"""Largest block cache, which all stores of the process share."""


class Stores:
    """Opens and replaces the stores of partitions.

    Args:
        folder: state folder, which holds one folder per partition.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._block_cache = Cache(BLOCK_CACHE_BYTES)
        self._write_buffer_bytes = WRITE_BUFFER_BYTES

    def bound(self, bounds: MemoryBounds) -> None:
        """Apply new bounds of memory (`tables.pace.memory.Bounded`). An open store keeps its write buffer."""
        self._block_cache.set_capacity(min(BLOCK_CACHE_BYTES, bounds.block_cache_bytes))
        self._write_buffer_bytes = min(WRITE_BUFFER_BYTES, bounds.write_buffer_bytes)

    def folder_of(self, partition: int) -> Path:
        """Return the folder of the store of `partition`, which need not exist."""
        return self._folder / str(partition)

    def present(self) -> Sequence[int]:
        """Return the partitions of which there is a store, ascending, by the names of the folders."""
        found = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(int(store.name) for store in found if store.name.isdecimal())

    @beside_the_loop
    def open(self, partition: int) -> PartitionStore:
        """Open the store of `partition`. Replace a corrupted store by an empty store, which a restore then fills.

        Raises:
            StateLockedError: another process has the store open.
            StoreFullError, StoreUnavailableError: the system refuses a resource that the store needs; the store stays as it is.
        """
        folder = self.folder_of(partition)
        try:
            return PartitionStore(folder, self._block_cache, self._write_buffer_bytes)
        except StoreCorruptedError as error:
            _log.error(
                "store thrown away; it is rebuilt from the changelog", partition=partition, reason=str(error)
            )
            destroy_store(folder)
            return PartitionStore(folder, self._block_cache, self._write_buffer_bytes)

    @beside_the_loop
    def replace(self, partition: int, store: PartitionStore) -> PartitionStore:
        """Close and remove `store`, and return an empty store in its place."""
        store.abandon()
        destroy_store(self.folder_of(partition))
        return self.open(partition)
