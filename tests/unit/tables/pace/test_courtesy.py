"""How long a process that is asked pauses after a flush."""

from __future__ import annotations

import pytest

from tables.pace.courtesy import (
    ALONE_LEVEL,
    FALL_PER_S,
    LATE_S,
    MOST_LEVEL,
    MOST_PAUSE_S,
    STEP,
    Courtesy,
)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def courtesy(clock: Clock) -> Courtesy:
    return Courtesy(clock)


def ask(courtesy: Courtesy, times: int, delay_s: float = LATE_S) -> None:
    courtesy.delayed(delay_s)
    for _ in range(times):
        courtesy.asked()


def test_who_is_not_asked_does_not_pause_however_late_the_event_loop_is(courtesy: Courtesy) -> None:
    courtesy.delayed(1.0)
    assert courtesy.pause_s(0.1) == 0.0
    assert not courtesy.alone


def test_who_is_asked_in_time_does_not_pause(courtesy: Courtesy) -> None:
    ask(courtesy, 1000, LATE_S * 0.99)
    assert courtesy.pause_s(0.1) == 0.0


def test_each_late_question_makes_pauses_longer_up_to_a_bound(courtesy: Courtesy) -> None:
    ask(courtesy, 1)
    assert courtesy.pause_s(0.1) == pytest.approx(STEP * 0.1)
    assert not courtesy.alone
    ask(courtesy, 1)
    assert courtesy.level == pytest.approx(2 * STEP)
    assert courtesy.alone is (2 * STEP >= ALONE_LEVEL)
    ask(courtesy, 1000)
    assert courtesy.pause_s(0.1) == pytest.approx(MOST_LEVEL * 0.1)
    assert courtesy.pause_s(1000.0) == MOST_PAUSE_S


def test_pauses_end_when_questions_find_the_event_loop_in_time(courtesy: Courtesy, clock: Clock) -> None:
    ask(courtesy, 1000)
    clock.now_s += 1.0
    assert courtesy.level == pytest.approx(MOST_LEVEL - FALL_PER_S)
    clock.now_s += MOST_LEVEL / FALL_PER_S
    ask(courtesy, 1000, 0.0)
    assert courtesy.pause_s(0.1) == 0.0


@pytest.mark.parametrize(
    ("every_s", "pauses"), [(1.05 * STEP / FALL_PER_S, False), (0.5 * STEP / FALL_PER_S, True)]
)
def test_a_late_question_now_and_then_keeps_no_pauses(
    courtesy: Courtesy, clock: Clock, every_s: float, pauses: bool
) -> None:
    for _ in range(100):
        ask(courtesy, 1)
        clock.now_s += every_s
    assert (courtesy.level > 0) is pauses
