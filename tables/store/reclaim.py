"""Reclaims the disk of rows that were cleared, beside everything else.

A cleared row stays in RocksDB's files until a compaction meets both the row and the range that cleared it. Under light load none
comes: the range stays in memory, and the row in a file of the lowest level. So when cleared rows are a considerable part of a store,
their ranges are compacted.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from rocksdict import CompactOptions, Rdict

from tables.errors import WordcountError
from tables.model.windows import Cleared, KeyRange, size_prefix
from tables.store.rocksdb_errors import store_errors

LEAST_ROWS: Final = 16_384
"""Fewer cleared rows, some hundred kB, are left to RocksDB."""

SHARE: Final = 8
"""Cleared rows are reclaimed when they are more than one in so many of the rows in the files, so that a row is rarely moved for it."""

_log = structlog.get_logger(__name__)


class Reclaim:
    """Compacts the cleared ranges of one open store, in a thread that ends by itself or by `end`.

    One thread at a time may call `cleared`, and none after `end`.

    Args:
        folder: folder of the store.
        database: the open store.
    """

    def __init__(self, folder: Path, database: Rdict) -> None:
        self._folder = folder
        self._database = database
        self._hulls: dict[bytes, KeyRange] = {}
        """By what the keys of one size or one jump begin with: from the first to the last cleared key since the last compaction."""
        self._rows = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether a compaction is under way."""
        return self._thread is not None

    def cleared(self, cleared: Cleared) -> None:
        """Take note of rows that the store has just cleared, and begin a compaction if it is due."""
        if not cleared.rows:
            return
        with self._lock:
            for first, end in cleared.ranges:
                kind = first[: len(size_prefix(0))]
                known = self._hulls.get(kind, (first, end))
                self._hulls[kind] = min(first, known[0]), max(end, known[1])
            self._rows += cleared.rows
            if self._thread is None and self._is_due():
                self._thread = threading.Thread(
                    target=self._compact_while_due, name=f"reclaim-{self._folder.name}", daemon=True
                )
                self._thread.start()

    def end(self) -> bool:
        """End the compaction under way at once; return whether there was one. RocksDB was stopped then, and takes no rows any more."""
        if (thread := self._thread) is None:
            return False
        self._database.cancel_all_background(True)
        thread.join()
        return True

    def _is_due(self) -> bool:
        rows = int(self._database.property_int_value("rocksdb.estimate-num-keys") or 0)
        return self._rows >= LEAST_ROWS and self._rows * SHARE >= rows

    def _compact_while_due(self) -> None:
        """Compact, and again what was cleared meanwhile: nobody may clear anything afterwards."""
        hulls: list[KeyRange] | None = []
        while hulls is not None:
            if not self._compact(hulls):
                return
            with self._lock:
                hulls = list(self._hulls.values()) if self._is_due() else None
                if hulls is None:
                    self._thread = None
                else:
                    self._hulls, self._rows = {}, 0

    def _compact(self, hulls: Sequence[KeyRange]) -> bool:
        """Compact ranges. Return whether that came to its end."""
        options = CompactOptions()
        # Flushes may move files down meanwhile.
        options.set_exclusive_manual_compaction(False)
        for first, end in hulls:
            try:
                with store_errors(self._folder):
                    self._database.compact_range(first, end, options)
            except WordcountError as error:
                # What the store has is as it was. If it is damaged, the next flush or read says so, and is acted upon there.
                _log.debug("disk of cleared rows was not reclaimed", reason=str(error))
                return False
        return True
