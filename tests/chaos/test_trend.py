"""What the soak calls growth."""

from __future__ import annotations

import random

import pytest

from tests.chaos.trend import trend

SAMPLES = 180
"""Of 15 minutes, one each 5 s."""


def noisy(value: float, deviation: float) -> float:
    return random.Random(value).gauss(value, deviation)


def test_what_fills_during_the_warm_up_and_then_stays_is_no_growth() -> None:
    samples = [noisy(min(100.0 + 3 * number, 250), 2) for number in range(SAMPLES)]
    assert not trend(samples).grows
    assert trend(samples).growth == pytest.approx(0, abs=3)


def test_a_sawtooth_is_no_growth() -> None:
    assert not trend([200.0 + number % 30 for number in range(SAMPLES)]).grows


@pytest.mark.parametrize("percent", [8, 20, 100])
def test_a_slow_leak_is_growth(percent: int) -> None:
    leaked = percent / 100 * 250 / (SAMPLES * 2 / 3)
    found = trend([noisy(250 + leaked * number, 1) for number in range(SAMPLES)])
    assert found.grows
    assert found.growth == pytest.approx(percent / 100 * 250, rel=0.1)


def test_descriptors_that_are_never_closed_are_growth() -> None:
    assert trend([60 + number // 10 for number in range(SAMPLES)]).grows


def test_what_falls_is_no_growth() -> None:
    assert not trend([300.0 - number for number in range(SAMPLES)]).grows
