"""Backoff: the pause before a retry, longer after each failure and with jitter. Pure.

The pause is exponential with jitter (Brooker, "Exponential Backoff and Jitter", 2015): 256 partitions that wait for one broker spread
their retries over time, instead of sending a burst every second.
"""

from __future__ import annotations

FIRST_S = 0.25
MOST_S = 5.0
"""Longest pause: a broker that is back is noticed within this many seconds."""


def backoff_s(attempts: int, chance: float, most_s: float = MOST_S) -> float:
    """Return the seconds to wait after `attempts` (>= 1) failures in a row, at most `most_s`.

    `chance` in [0, 1) draws from the range's upper half.
    """
    longest_s = min(most_s, FIRST_S * 2.0 ** min(attempts - 1, 16))
    return longest_s * (1 + chance) / 2
