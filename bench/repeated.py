"""Several runs of one measurement as one result."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from typing import Any

Result = dict[str, Any]


def summed_up(
    runs: Sequence[Result], *, listed: str, worst: Collection[str], added: Collection[str] = ()
) -> Result:
    """One result with the same names as each of `runs`: right only if all were, otherwise medians.

    Args:
        runs: at least one; what is no number is the same in all of them.
        listed: a name of which `runs_<name>` shows every run's value.
        worst: names of which the largest value counts.
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
