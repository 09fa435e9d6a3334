"""The stores of this process: a folder each, by partition number, with one block cache for all."""

from __future__ import annotations

from pathlib import Path

import structlog
from rocksdict import Cache

from tables.errors import StoreCorruptedError
from tables.pace.memory import MemoryBounds
from tables.store.partition_store import WRITE_BUFFER_BYTES, PartitionStore, destroy_store
from tables.threads import beside_the_loop

_log = structlog.get_logger(__name__)

BLOCK_CACHE_BYTES = 64 << 20
"""Shared by all partition stores, at most."""


class Stores:
    """Opens and replaces stores. Blocks; called in threads.

    Args:
        folder: holds one store per partition.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._block_cache = Cache(BLOCK_CACHE_BYTES)
        self._write_buffer_bytes = WRITE_BUFFER_BYTES

    def bound(self, bounds: MemoryBounds) -> None:
        """See `tables.pace.memory.Bounded`; a store that is open keeps the write buffer that it has."""
        self._block_cache.set_capacity(min(BLOCK_CACHE_BYTES, bounds.block_cache_bytes))
        self._write_buffer_bytes = min(WRITE_BUFFER_BYTES, bounds.write_buffer_bytes)

    def folder_of(self, partition: int) -> Path:
        """Where the store of `partition` is, or would be."""
        return self._folder / str(partition)

    @beside_the_loop
    def open(self, partition: int) -> PartitionStore:
        """The store of `partition`; one that is corrupted gives way to an empty one, which a restore fills.

        Raises:
            StateLockedError: another process has it open.
            StoreFullError, StoreUnavailableError: the system refuses what it needs; it stays as it is.
        """
        folder = self.folder_of(partition)
        try:
            return PartitionStore(folder, self._block_cache, self._write_buffer_bytes)
        except StoreCorruptedError as error:
            _log.error(
                "store thrown away, rebuilding it from the changelog", partition=partition, reason=str(error)
            )
            destroy_store(folder)
            return PartitionStore(folder, self._block_cache, self._write_buffer_bytes)

    @beside_the_loop
    def replace(self, partition: int, store: PartitionStore) -> PartitionStore:
        """An empty store instead of `store`, which is closed and removed."""
        store.abandon()
        destroy_store(self.folder_of(partition))
        return self.open(partition)
