"""CPU time that the host of a virtual machine gave to other guests while something here wanted to run.

A latency is a matter of a few milliseconds of CPU at the right moment, and on a machine that others share it doubles when a sixth of
the cores is taken. So a measurement that needs a machine of its own is repeated until enough runs had one, and the others are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from bench.repeated import Result

MOST_PERCENT = 2.0
"""Share of the time of all cores, in percent, up to which a run counts as undisturbed."""

STOLEN = "stolen_percent"


@contextmanager
def stolen_percent() -> Iterator[list[float]]:
    """Watch the machine while the context is open; afterwards the list has the stolen share of the time of all cores, in percent."""
    found: list[float] = []
    before = psutil.cpu_times()
    try:
        yield found
    finally:
        after = psutil.cpu_times()
        total_s = sum(after) - sum(before)
        found.append(round(100 * (after.steal - before.steal) / total_s, 1) if total_s else 0.0)


def least_disturbed(
    measure: Callable[[int], Result], runs: int, most_runs: int
) -> tuple[list[Result], list[Result]]:
    """Call `measure` until `runs` results are undisturbed, at most `most_runs` times.

    Args:
        measure: measures once, given the number of the run, and returns a result with its `STOLEN`.
        runs: results that are wanted, >= 1.
        most_runs: calls at most, >= `runs`.

    Returns:
        The `runs` results from which least was stolen, and the others, each in the order of the runs. Nothing else chooses them.
    """
    results: list[Result] = []
    while len(results) < most_runs and sum(each[STOLEN] <= MOST_PERCENT for each in results) < runs:
        results.append(measure(len(results)))
    chosen = sorted(sorted(range(len(results)), key=lambda number: results[number][STOLEN])[:runs])
    return [results[number] for number in chosen], [
        result for number, result in enumerate(results) if number not in chosen
    ]
