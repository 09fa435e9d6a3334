"""When a buffer is flushed."""

from __future__ import annotations

import pytest

from tables.pace.policy import FlushPolicy

POLICY = FlushPolicy(interval_ms=250, catching_up_ms=2000)


@pytest.mark.parametrize(
    ("buffered_bytes", "age_ms", "behind_offsets", "catching_up", "due"),
    [
        (1000, 0, 10_000, True, True),  # full
        (1000, 0, 0, False, True),
        (999, 0, 0, False, False),  # caught up, young
        (1, 249, 10, False, False),
        (1, 250, 10, False, True),  # caught up, old enough
        (999, 1999, 1, True, False),  # behind: full buffers first
        (1, 2000, 1, True, True),  # but not for ever
        (1, 0, 0, True, True),  # the end of a backlog: nothing more to wait for
    ],
)
def test_a_buffer_is_due_when_it_is_full_or_old_enough_or_ends_a_backlog(
    buffered_bytes: int, age_ms: float, behind_offsets: int, catching_up: bool, due: bool
) -> None:
    assert due == POLICY.is_due(
        buffered_bytes=buffered_bytes,
        full_bytes=1000,
        age_ms=age_ms,
        behind_offsets=behind_offsets,
        catching_up=catching_up,
    )
