"""How much memory each part of a worker may take, all derived from one number and the partitions it has. Pure.

The table in ARCHITECTURE, "Memory", has the shares and where each bound applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

MIB: Final = 1 << 20

DEFAULT_BYTES: Final = 768 * MIB

PROCESS_BYTES: Final = 150 * MIB
"""Interpreter and libraries, before anything is counted; half of it is code that other workers on the machine share."""

STORE_BYTES: Final = 256 << 10
"""An open store without what is in it."""

ROW_BYTES: Final = 300
"""A distinct word of a buffer while it is flushed: as text, as Python objects, as changelog record and as row for RocksDB."""

WORD_BYTES: Final = 48
COUNT_BYTES: Final = 4
"""A word whose count is cached; and one of its counts, of which there is one per partition."""

LARGE_FLUSHES: Final = 3
"""Two are counted while one is being acknowledged."""

_REPLAYS: Final = 8
"""Two partitions are restored at a time, each with as much again while it merges; the other half of the share is for flushes."""


@dataclass(frozen=True, slots=True)
class _Share:
    """A part of what is left when process and stores have what they need: `percent` of it, but at least and at most so much."""

    percent: int
    least: int
    most: int

    def of(self, spare_bytes: int) -> int:
        """Bytes."""
        return min(max(spare_bytes * self.percent // 100, self.least), self.most)


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """What the parts of a worker may take.

    Attributes:
        held_bytes: records that are buffered or being flushed, of all partitions.
        full_rows: distinct words of a buffer.
        vocabulary_words: words whose counts are cached.
        fetch_bytes: what a broker sends of a partition at a time.
        block_cache_bytes: blocks of all stores.
        write_buffer_bytes: rows of a store that are not yet in a file.
        replay_bytes: changelog records of a partition that are not yet merged.
        missing_bytes: that the process takes beyond what it was given, where every bound is as small as it gets.
    """

    held_bytes: int
    full_rows: int
    vocabulary_words: int
    fetch_bytes: int
    block_cache_bytes: int
    write_buffer_bytes: int
    replay_bytes: int
    missing_bytes: int


class Bounded(Protocol):
    """A part of the worker that keeps to a bound."""

    def bound(self, bounds: MemoryBounds) -> None:
        """Keep to these from now on."""


class MemoryBudget:
    """The bounds of a process as they are now: its partitions come and go.

    Args:
        total_bytes: that the process may take.

    Attributes:
        bounds: for the partitions that it has.
    """

    def __init__(self, total_bytes: int = DEFAULT_BYTES) -> None:
        self.total_bytes = total_bytes
        self.bounds = memory_bounds(total_bytes, 1)
        self._bounded: list[Bounded] = []

    def follow(self, *parts: Bounded) -> None:
        """Tell `parts` of the bounds there are, and of later ones."""
        self._bounded += parts
        for part in parts:
            part.bound(self.bounds)

    def divide(self, partitions: int) -> None:
        """The process has so many partitions from now on."""
        self.bounds = memory_bounds(self.total_bytes, partitions)
        for part in self._bounded:
            part.bound(self.bounds)


def memory_bounds(total_bytes: int, partitions: int) -> MemoryBounds:
    """The bounds of a worker that has `total_bytes` for `partitions`; below `needed_bytes` each is as small as it gets."""
    partitions = max(1, partitions)
    spare_bytes = max(0, total_bytes - PROCESS_BYTES - partitions * STORE_BYTES)
    flushes, held, cache, blocks, fetched, buffers = (share.of(spare_bytes) for share in _shares(partitions))
    return MemoryBounds(
        held_bytes=held,
        full_rows=flushes // (LARGE_FLUSHES * ROW_BYTES),
        vocabulary_words=cache // (WORD_BYTES + COUNT_BYTES * partitions),
        fetch_bytes=fetched // partitions,
        block_cache_bytes=blocks,
        write_buffer_bytes=buffers // partitions,
        replay_bytes=flushes // _REPLAYS,
        missing_bytes=max(0, needed_bytes(partitions) - total_bytes),
    )


def needed_bytes(partitions: int) -> int:
    """With less, a worker of so many partitions takes more than it was given."""
    return (
        PROCESS_BYTES + partitions * STORE_BYTES + sum(share.least for share in _shares(max(1, partitions)))
    )


def _shares(partitions: int) -> tuple[_Share, ...]:
    """Of flushes, buffers, cached counts, blocks, fetches and write buffers. Together they are 100 %."""
    return (
        _Share(41, 27 * MIB, 225 * MIB),
        _Share(12, 16 * MIB, 64 * MIB),
        _Share(25, 10_000 * (WORD_BYTES + COUNT_BYTES * partitions), 1 << 62),
        _Share(8, 8 * MIB, 64 * MIB),
        _Share(5, (64 << 10) * partitions, MIB * partitions),
        _Share(9, (256 << 10) * partitions, 8 * MIB * partitions),
    )
