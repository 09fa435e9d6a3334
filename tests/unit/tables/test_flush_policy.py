"""When a window is flushed."""

from __future__ import annotations

import pytest

from tables.flush_policy import FlushPolicy

POLICY = FlushPolicy(interval_ms=250, catching_up_ms=2000, window_bytes=1000, total_bytes=4000)


@pytest.mark.parametrize(
    ("pending_bytes", "age_ms", "pending_offsets", "behind_offsets", "due"),
    [
        (1000, 0, 10, 10_000, True),  # full
        (999, 0, 10, 0, False),  # caught up, young
        (1, 250, 10, 0, True),  # caught up, old enough
        (1, 250, 10, 10, True),  # what is to come is no more than what is pending
        (1, 250, 10, 11, False),  # behind: full windows first
        (1, 2000, 10, 11, True),  # but not for ever
    ],
)
def test_a_window_is_due_when_it_is_full_or_old_enough(
    pending_bytes: int, age_ms: float, pending_offsets: int, behind_offsets: int, due: bool
) -> None:
    assert due == POLICY.is_due(
        pending_bytes=pending_bytes,
        age_ms=age_ms,
        pending_offsets=pending_offsets,
        behind_offsets=behind_offsets,
        partitions=1,
    )


@pytest.mark.parametrize(("partitions", "expected"), [(0, 1000), (1, 1000), (4, 1000), (8, 500)])
def test_many_partitions_have_smaller_windows(partitions: int, expected: int) -> None:
    assert POLICY.bytes_per_partition(partitions) == expected
