"""Thousands of schedules of crash, torn flush, zombie, late request, compaction, rebalance and broken disk: no count differs.

A failing seed is printed with its steps; `SIMULATION_SEEDS=1` with `SIMULATION_FIRST=<seed>` runs it alone.
"""

import os

import pytest

from tests.simulation.schedule import simulate

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "3000"))
FIRST = int(os.environ.get("SIMULATION_FIRST", "0"))
CHUNK = 500


@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_counts_are_exact_whatever_happens(first: int) -> None:
    for seed in range(first, min(first + CHUNK, FIRST + SEEDS)):
        simulate(seed)


def test_the_same_seed_takes_the_same_steps() -> None:
    assert simulate(7) == simulate(7)
