"""A failing schedule becomes a short one that fails alike, and can be had again."""

import pytest

from tests.simulation.mutants import marker_first, position_outside_the_atomic_write
from tests.simulation.replay import shrunk, steps_of
from tests.simulation.shrink import shrink
from tests.simulation.simulator import simulate
from tests.simulation.wrong_error import WrongError


def test_all_that_does_not_matter_is_left_out() -> None:
    assert shrink(range(100), lambda kept: {3, 41, 98} <= set(kept)) == [3, 41, 98]
    assert len(shrink(range(100), lambda kept: len(kept) >= 7)) == 7
    assert shrink([1, 2], lambda kept: True) == []


def test_shrinking_ends_in_time_with_what_it_has() -> None:
    assert shrink(range(100), lambda kept: True, limit_s=-1) == list(range(100))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("mutate", "near"), [(marker_first, 0), (position_outside_the_atomic_write, 70)], ids=["often", "seldom"]
)
def test_the_steps_that_show_a_planted_bug_are_few_and_show_it_again(mutate, near) -> None:
    seed, failure = next(_failures(mutate, near))
    found = shrunk(seed, failure, mutate, limit_s=400)
    assert len(found.steps) <= len(failure.steps) / 2

    [note] = found.__notes__
    text = note.rpartition("STEPS=")[2]
    assert f"SEED={seed} STEPS={text}" in note
    with pytest.raises(WrongError) as again:
        simulate(seed, mutate, steps=steps_of(seed, text))
    assert (again.value.promise, str(again.value)) == (failure.promise, str(found))


def _failures(mutate, near):
    """(seed, error) of schedules from seed `near` on that fail after more than 20 steps, and few enough to be shrunk soon."""
    for seed in range(near, near + 300):
        try:
            simulate(seed, mutate)
        except WrongError as error:
            if 20 < len(error.steps) <= 40:
                yield seed, error
