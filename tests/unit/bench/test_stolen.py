"""A measurement that others disturbed is repeated, and nothing but the stolen share chooses the runs that count."""

from typing import Any

import pytest

from bench.stolen import MOST_PERCENT, STOLEN, least_disturbed, stolen_percent

QUIET, NOISY = MOST_PERCENT, MOST_PERCENT + 0.1


def numbers(stolen: list[float], most_runs: int) -> tuple[list[int], list[int], int]:
    """Return the chosen and the other runs, and how often was measured, where run n loses `stolen[n]` percent."""
    measured: list[int] = []

    def measure(number: int) -> dict[str, Any]:
        measured.append(number)
        return {"number": number, STOLEN: stolen[number]}

    chosen, others = least_disturbed(measure, 2, most_runs)
    return [run["number"] for run in chosen], [run["number"] for run in others], len(measured)


@pytest.mark.parametrize(
    ("stolen", "chosen", "others", "measured"),
    [
        ([QUIET, 0.0, 0.0], [0, 1], [], 2),
        ([NOISY, 0.0, QUIET, 0.0], [1, 2], [0], 3),
        ([30.0, 10.0, 40.0, 20.0], [1, 3], [0, 2], 4),
        ([30.0, 30.0, 30.0, QUIET], [0, 3], [1, 2], 4),
    ],
)
def test_runs_are_repeated_until_enough_are_undisturbed(
    stolen: list[float], chosen: list[int], others: list[int], measured: int
) -> None:
    assert numbers(stolen, 4) == (chosen, others, measured)


def test_the_stolen_share_is_a_percentage() -> None:
    with stolen_percent() as found:
        sum(range(3_000_000))
    assert len(found) == 1
    assert 0.0 <= found[0] <= 100.0
