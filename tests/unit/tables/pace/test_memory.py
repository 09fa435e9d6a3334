"""How the memory of a worker is divided among its parts."""

from __future__ import annotations

import pytest

from tables.pace.memory import (
    COUNT_BYTES,
    DEFAULT_BYTES,
    LARGE_FLUSHES,
    MIB,
    PANE_COUNT_BYTES,
    PROCESS_BYTES,
    ROW_BYTES,
    STORE_BYTES,
    WORD_BYTES,
    MemoryBounds,
    MemoryBudget,
    memory_bounds,
    needed_bytes,
)

PARTITIONS = (1, 8, 64, 256, 1000)


def taken(bounds: MemoryBounds, partitions: int, *, windowed: bool) -> int:
    """The sum of all that the bounds allow."""
    panes = PANE_COUNT_BYTES * bounds.pane_counts * partitions if windowed else 0
    return (
        panes
        + PROCESS_BYTES
        + partitions * (STORE_BYTES + bounds.fetch_bytes + bounds.write_buffer_bytes)
        + LARGE_FLUSHES * ROW_BYTES * bounds.full_rows
        + bounds.vocabulary_words * (WORD_BYTES + COUNT_BYTES * partitions)
        + bounds.held_bytes
        + bounds.block_cache_bytes
    )


@pytest.mark.parametrize("partitions", PARTITIONS)
@pytest.mark.parametrize("total_mb", [192, 512, 768, 2048, 100_000])
@pytest.mark.parametrize("windowed", [False, True])
def test_all_that_is_allowed_together_is_not_more_than_there_is(
    total_mb: int, partitions: int, *, windowed: bool
) -> None:
    bounds = memory_bounds(total_mb * MIB, partitions, windowed=windowed)
    needed = needed_bytes(partitions)
    assert bounds.missing_bytes == max(0, needed - total_mb * MIB)
    # Where a share is below what its part needs at least, the others are not made smaller for it.
    assert taken(bounds, partitions, windowed=windowed) <= total_mb * MIB + needed - PROCESS_BYTES
    if partitions <= 256 and total_mb >= 768:
        assert taken(bounds, partitions, windowed=windowed) <= total_mb * MIB * 1.02
    assert min(bounds.held_bytes, bounds.full_rows, bounds.vocabulary_words, bounds.replay_bytes) > 0
    assert bounds.fetch_bytes >= 64 << 10
    assert bounds.write_buffer_bytes >= 256 << 10


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_more_memory_and_fewer_partitions_make_no_bound_smaller(partitions: int) -> None:
    bounds = memory_bounds(DEFAULT_BYTES, partitions)
    for larger in (
        memory_bounds(2 * DEFAULT_BYTES, partitions),
        memory_bounds(DEFAULT_BYTES, partitions // 2),
    ):
        for name in MemoryBounds.__slots__:
            if name != "missing_bytes":
                assert getattr(larger, name) >= getattr(bounds, name), name


def test_a_worker_of_a_few_partitions_has_all_it_can_use_by_default() -> None:
    bounds = memory_bounds(DEFAULT_BYTES, 8)
    assert bounds.held_bytes == 64 * MIB
    assert bounds.full_rows >= 250_000
    assert bounds.vocabulary_words >= 1_000_000
    assert bounds.fetch_bytes == MIB


def test_counts_of_windows_take_their_memory_from_the_cached_counts_of_words() -> None:
    plain, windowed = (memory_bounds(DEFAULT_BYTES, 8, windowed=windowed) for windowed in (False, True))
    assert windowed.vocabulary_words < plain.vocabulary_words
    assert windowed.pane_counts >= 350_000, "two minutes and an hour of 100,000 words each"


def test_the_parts_of_a_process_are_told_of_each_division() -> None:
    class Part:
        def __init__(self) -> None:
            self.told: list[MemoryBounds] = []

        def bound(self, bounds: MemoryBounds) -> None:
            self.told.append(bounds)

    memory, part = MemoryBudget(DEFAULT_BYTES), Part()
    memory.follow(part)
    memory.divide(256)
    assert part.told == [memory_bounds(DEFAULT_BYTES, 1), memory_bounds(DEFAULT_BYTES, 256)]
    assert memory.bounds == part.told[-1]
