"""The summary of several runs of one measurement: medians, worst values and sums."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from typing import Any

Result = dict[str, Any]


def summed_up(
    runs: Sequence[Result], *, listed: str, worst: Collection[str], added: Collection[str] = ()
) -> Result:
    """Return one result with the names of each of `runs`: `verified` if all runs are, and by default the median of numbers.

    Args:
        runs: results of the runs, at least one; a value that is not a number is equal in all runs.
        listed: the name whose values of all runs are also listed, as `runs_<name>`.
        worst: names of which the largest value is taken.
        added: names of which the values are added up.
    """
    result: Result = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        if name == "verified":
            result[name] = all(values)
        elif name in worst:
            result[name] = max(values)
        elif name in added:
            result[name] = sum(values)
        elif isinstance(values[0], list):
            result[name] = [_median(column) for column in zip(*values, strict=True)]
        else:
            result[name] = values[0] if isinstance(values[0], str) else _median(values)
        if name == listed:
            result[f"runs_{name}"] = values
    return result


def _median(values: Sequence[float]) -> float:
    median = statistics.median(values)
    return round(median) if all(isinstance(value, int) for value in values) else round(median, 3)
