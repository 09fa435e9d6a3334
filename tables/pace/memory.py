"""Memory of each part of a worker, derived from the worker's memory and its number of partitions. Pure.

The table in docs/internals.md, section "Memory", has the shares and says what each bound limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

MIB: Final = 1 << 20

DEFAULT_BYTES: Final = 768 * MIB

PROCESS_BYTES: Final = 150 * MIB
"""Interpreter and libraries, before anything is counted. Half of these bytes are code that all workers on a machine share."""

STORE_BYTES: Final = 256 << 10
"""An open store without its rows."""

ROW_BYTES: Final = 200
"""A distinct word of a buffer during the flush: as text, counts, key and value, changelog record and row for RocksDB."""

PANE_ROW_BYTES: Final = 100
"""A distinct word of a window during the flush: as key and value, as changelog record and as row for RocksDB."""

ID_ROW_BYTES: Final = 350
"""An id that a buffer has for the first time, during the flush: as an object of Python, and as a row as above."""

WORD_BYTES: Final = 48
"""A word of the vocabulary."""

COUNT_BYTES: Final = 4
"""A cached count of a word, of which there is one per partition."""

PANE_COUNT_BYTES: Final = 16
"""A cached count of a word in a window: id and count."""

LARGE_FLUSHES: Final = 3
"""Large flushes at a time: two are counted while the third waits for its acknowledgement."""

_PANES: Final = 3
"""Cached counts of windows get this fraction of the share of cached counts."""

_REPLAYS: Final = 8
"""One restore gets this fraction of the share of flushes.

Two restores run at a time, and each takes the memory of its changelog records once more while it merges them. So the restores take
half of the share, and the other half is for flushes.
"""


@dataclass(frozen=True, slots=True)
class _Share:
    """A share of the memory that process and open stores leave: `percent` of it, but at least `least` and at most `most` bytes."""

    percent: int
    least: int
    most: int

    def of(self, spare_bytes: int) -> int:
        """Return the bytes of this share of `spare_bytes`."""
        return min(max(spare_bytes * self.percent // 100, self.least), self.most)


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """Upper bounds for the parts of a worker.

    Attributes:
        held_bytes: bytes of records, buffered or being flushed, of all partitions together.
        full_rows: distinct words of a full buffer.
        vocabulary_words: words whose counts are cached.
        pane_counts: counts of words in windows that are cached, of one partition.
        fetch_bytes: bytes that a broker sends of one partition per fetch.
        block_cache_bytes: bytes of RocksDB's block cache, which all stores share.
        write_buffer_bytes: bytes of rows of one store that are not yet in a file.
        replay_bytes: bytes of changelog records of one restore that are not yet merged.
        missing_bytes: bytes that the process needs beyond its memory although every bound is at its least; 0 = the memory suffices.
    """

    held_bytes: int
    full_rows: int
    vocabulary_words: int
    pane_counts: int
    fetch_bytes: int
    block_cache_bytes: int
    write_buffer_bytes: int
    replay_bytes: int
    missing_bytes: int


class Bounded(Protocol):
    """A part of the worker whose memory is bounded."""

    def bound(self, bounds: MemoryBounds) -> None:
        """Keep to `bounds` from now on."""


class MemoryBudget:
    """Divides the memory of a process among its parts, again whenever the number of its partitions changes.

    Args:
        total_bytes: bytes that the process may take.
        windowed: whether it counts windows.

    Attributes:
        bounds: bounds for the present number of partitions.
    """

    def __init__(self, total_bytes: int = DEFAULT_BYTES, *, windowed: bool = False) -> None:
        self.total_bytes = total_bytes
        self._windowed = windowed
        self.bounds = memory_bounds(total_bytes, 1, windowed=windowed)
        self._bounded: list[Bounded] = []

    def follow(self, *parts: Bounded) -> None:
        """Apply the present bounds to `parts`, and every later change too."""
        self._bounded += parts
        for part in parts:
            part.bound(self.bounds)

    def divide(self, partitions: int) -> None:
        """Compute the bounds for `partitions`, the number of partitions from now on, and apply them to all parts."""
        self.bounds = memory_bounds(self.total_bytes, partitions, windowed=self._windowed)
        for part in self._bounded:
            part.bound(self.bounds)


def memory_bounds(total_bytes: int, partitions: int, *, windowed: bool = False) -> MemoryBounds:
    """Return the bounds of a worker; below `needed_bytes` every bound is at its least.

    Args:
        total_bytes: bytes that the process may take.
        partitions: its number of partitions.
        windowed: whether it counts windows, whose counts then take a third of the share of cached counts.
    """
    partitions = max(1, partitions)
    spare_bytes = max(0, total_bytes - PROCESS_BYTES - partitions * STORE_BYTES)
    flushes, held, cache, blocks, fetched, buffers = (share.of(spare_bytes) for share in _shares(partitions))
    panes = cache // _PANES
    return MemoryBounds(
        held_bytes=held,
        full_rows=flushes // (LARGE_FLUSHES * ROW_BYTES),
        vocabulary_words=(cache - panes if windowed else cache) // (WORD_BYTES + COUNT_BYTES * partitions),
        pane_counts=panes // (PANE_COUNT_BYTES * partitions),
        fetch_bytes=fetched // partitions,
        block_cache_bytes=blocks,
        write_buffer_bytes=buffers // partitions,
        replay_bytes=flushes // _REPLAYS,
        missing_bytes=max(0, needed_bytes(partitions) - total_bytes),
    )


def needed_bytes(partitions: int) -> int:
    """Return the least memory with which a worker of this number of partitions keeps to its bounds, in bytes."""
    return (
        PROCESS_BYTES + partitions * STORE_BYTES + sum(share.least for share in _shares(max(1, partitions)))
    )


def _shares(partitions: int) -> tuple[_Share, ...]:
    """Return the shares of flushes, buffers, cached counts, blocks, fetches and write buffers, which add up to 100 %."""
    return (
        _Share(41, 27 * MIB, 225 * MIB),
        _Share(12, 16 * MIB, 64 * MIB),
        _Share(25, 10_000 * (WORD_BYTES + COUNT_BYTES * partitions), 1 << 62),
        _Share(8, 8 * MIB, 64 * MIB),
        _Share(5, (64 << 10) * partitions, MIB * partitions),
        _Share(9, (256 << 10) * partitions, 8 * MIB * partitions),
    )
