"""The stores of this process: a folder each, by partition number, with one block cache for all."""

from __future__ import annotations

from pathlib import Path

import structlog
from rocksdict import Cache

from tables.errors import StoreCorruptedError
from tables.partition_store import PartitionStore, destroy_store

_log = structlog.get_logger(__name__)

BLOCK_CACHE_BYTES = 64 << 20
"""Shared by all partition stores."""


class Stores:
    """Opens and replaces stores. Blocks; called in threads.

    Args:
        folder: holds one store per partition.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._block_cache = Cache(BLOCK_CACHE_BYTES)

    def folder_of(self, partition: int) -> Path:
        """Where the store of `partition` is, or would be."""
        return self._folder / str(partition)

    def open(self, partition: int) -> PartitionStore:
        """The store of `partition`; one that is corrupted gives way to an empty one, which a restore fills.

        Raises:
            StateLockedError: another process has it open.
            StoreFullError, StoreUnavailableError: the system refuses what it needs; it stays as it is.
        """
        folder = self.folder_of(partition)
        try:
            return PartitionStore(folder, self._block_cache)
        except StoreCorruptedError as error:
            _log.error(
                "store thrown away, rebuilding it from the changelog", partition=partition, reason=str(error)
            )
            destroy_store(folder)
            return PartitionStore(folder, self._block_cache)

    def replace(self, partition: int, store: PartitionStore) -> PartitionStore:
        """An empty store instead of `store`, which is closed and removed."""
        store.abandon()
        destroy_store(self.folder_of(partition))
        return self.open(partition)
