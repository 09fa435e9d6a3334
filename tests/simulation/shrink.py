"""The shortest part of a failing schedule that still fails, as far as it is found in time (delta debugging: Zeller, 1999)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

LIMIT_S = 30.0

Item = TypeVar("Item")


def shrink(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], limit_s: float = LIMIT_S
) -> list[Item]:
    """Leave out ever smaller chunks, then single items, until none can be left out without success, or `limit_s` is over.

    Args:
        items: of which all together fail.
        fails: whether some of them, in their order, fail alike.
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
