"""The trend of a figure that is sampled at equal intervals: whether the figure grows. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 1 / 3
"""Share of the samples that is left out, because caches and memtables fill at first."""

ALLOWED = 0.05
"""Growth over the other samples, as a share of their median, that does not count as growth."""

NOISE = 2.0
"""Standard deviations from the fitted line that are added to the allowed growth."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through the samples after the warm-up.

    Attributes:
        median: median of these samples.
        growth: difference between the ends of the line; negative if the line falls.
        bound: the largest growth that does not count as growth.
    """

    median: float
    growth: float
    bound: float

    @property
    def grows(self) -> bool:
        return self.growth > self.bound


def trend(samples: Sequence[float]) -> Trend:
    """Fit a line to the samples after the warm-up; `samples` has at least 6 of them."""
    rest = samples[int(len(samples) * WARM_UP) :]
    times = range(len(rest))
    slope, start = statistics.linear_regression(times, rest)
    noise = statistics.pstdev(value - start - slope * time for time, value in zip(times, rest, strict=True))
    median = statistics.median(rest)
    return Trend(median, slope * (len(rest) - 1), ALLOWED * median + NOISE * noise)
