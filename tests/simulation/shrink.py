"""Shrinking: a short part of a failing schedule that still fails, found within a time limit (delta debugging: Zeller, 1999)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

LIMIT_S = 30.0

Item = TypeVar("Item")


def shrink(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], limit_s: float = LIMIT_S
) -> list[Item]:
    """Leave out ever smaller chunks, then single items, until each remaining item is needed for the failure, or time is over.

    Args:
        items: items that fail together.
        fails: returns whether a part of the items, in their order, fails in that way too.
        limit_s: longest time for the search.
    """
    ends_at = time.monotonic() + limit_s
    kept = list(items)
    size = max(1, len(kept) // 2)
    while kept:
        before = len(kept)
        start = 0
        while start < len(kept):
            if time.monotonic() > ends_at:
                return kept
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept = rest
            else:
                start += size
        if size == 1 and len(kept) == before:
            break
        size = max(1, size // 2)
    return kept
