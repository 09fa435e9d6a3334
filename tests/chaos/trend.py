"""Whether a figure that is sampled at equal distances grows. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 1 / 3
"""Part of the samples that is left out: caches and memtables fill."""

ALLOWED = 0.05
"""Growth over the rest, as a part of the median, that is none."""

NOISE = 2.0
"""Standard deviations from the fitted line that are added to what is allowed."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through what follows the warm-up.

    Attributes:
        median: of these samples.
        growth: of the line from the first of them to the last; negative where it falls.
        bound: a larger growth is one.
    """

    median: float
    growth: float
    bound: float

    @property
    def grows(self) -> bool:
        return self.growth > self.bound


def trend(samples: Sequence[float]) -> Trend:
    """Fit a line to what follows the warm-up of `samples` (>= 6)."""
    rest = samples[int(len(samples) * WARM_UP) :]
    times = range(len(rest))
    slope, start = statistics.linear_regression(times, rest)
    noise = statistics.pstdev(value - start - slope * time for time, value in zip(times, rest, strict=True))
    median = statistics.median(rest)
    return Trend(median, slope * (len(rest) - 1), ALLOWED * median + NOISE * noise)
