"""Thousands of schedules of crash, torn flush, zombie, compaction, rebalance, broken disk and changed windows: no count differs.

A failing seed is shrunk and printed with its steps; `make simulate SEED=… STEPS=…` takes exactly these again.
"""

import os
from collections.abc import Callable

import pytest

from tests.simulation.plan import BRIEF_SEEDS, SHARED, numbers, ranges
from tests.simulation.replay import command, shrunk
from tests.simulation.simulator import simulate
from tests.simulation.wrong_error import WrongError

SEEDS = int(os.environ.get("SIMULATION_SEEDS", BRIEF_SEEDS))
FIRST = int(os.environ.get("SIMULATION_FIRST", "0"))
CHUNK = 500
SHARED_SEEDS = 100


@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_counts_are_exact_whatever_happens(
    first: int, record_property: Callable[[str, object], None]
) -> None:
    seeds = range(first, min(first + CHUNK, FIRST + SEEDS))
    record_property("repeat_with", f"SIMULATION_FIRST={first} SIMULATION_SEEDS={len(seeds)}")
    for seed in seeds:
        try:
            simulate(seed)
        except WrongError as error:
            found = shrunk(seed, error)
            record_property("repeat", command(seed, found.steps))
            pytest.fail(str(found), pytrace=False)


@pytest.mark.slow
def test_counts_of_another_deployment_in_the_same_changelog_are_never_adopted() -> None:
    for seed in range(SHARED_SEEDS):
        simulate(seed, bias=SHARED)


def test_the_same_seed_takes_the_same_steps() -> None:
    assert simulate(7) == simulate(7)


@pytest.mark.parametrize("text", ["", "0", "0-3", "1,3-5,9", "7-8"])
def test_steps_are_named_and_found_again(text: str) -> None:
    assert ranges(numbers(text)) == text
