"""How long to wait before something is tried again: longer each time, and not all at the same moment. Pure.

Exponential with jitter (Brooker, "Exponential Backoff and Jitter", 2015): 256 partitions that wait for one broker ask it spread over
the time, not in one burst per second.
"""

from __future__ import annotations

FIRST_S = 0.25
MOST_S = 5.0
"""A broker that is back is noticed within so many seconds."""


def backoff_s(attempts: int, chance: float) -> float:
    """Seconds to wait after `attempts` (>= 1) failures in a row; `chance` in [0, 1) draws from the upper half of the range."""
    longest_s = min(MOST_S, FIRST_S * 2.0 ** min(attempts - 1, 16))
    return longest_s * (1 + chance) / 2
