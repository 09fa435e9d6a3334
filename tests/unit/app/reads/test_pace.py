"""The rate limit of questions: a few get their turns at once, many get them one by one, slower while the event loop runs late."""

from __future__ import annotations

import asyncio

import pytest

from app.reads import pace as pace_module
from app.reads.pace import LEAST_STEP_S, MOST_STEP_S, Pace
from tables.errors import OverloadedError


class Clock:
    """Stands still but for sleeps, each of which takes `late_s` longer."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.late_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds + self.late_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace_module, "monotonic", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


async def took_s(pace: Pace, clock: Clock, turns: int) -> float:
    started_s = clock.now_s
    for _ in range(turns):
        await pace.turn(1)
    return clock.now_s - started_s


async def test_few_have_their_turn_at_once(clock: Clock) -> None:
    pace = Pace("top words")
    for _ in range(3):
        assert await took_s(pace, clock, 10) == pytest.approx(0)
        clock.now_s += 0.02
    assert await took_s(pace, clock, 11) == pytest.approx(LEAST_STEP_S)


async def test_many_have_one_turn_after_the_other(clock: Clock) -> None:
    assert await took_s(Pace("top words"), clock, 110) == pytest.approx(100 * LEAST_STEP_S)


async def test_a_late_loop_slows_the_pace_to_a_bound_and_a_quick_one_makes_it_faster_again(
    clock: Clock,
) -> None:
    pace = Pace("top words")
    clock.late_s = 0.001
    await took_s(pace, clock, 100)
    some_s = await took_s(pace, clock, 100)
    assert 300 * LEAST_STEP_S < some_s < 500 * LEAST_STEP_S
    clock.late_s = 0.1
    await took_s(pace, clock, 100)
    clock.late_s = 0.0
    assert await took_s(pace, clock, 11) > 5 * MOST_STEP_S
    await took_s(pace, clock, 100)
    assert await took_s(pace, clock, 100) == pytest.approx(100 * LEAST_STEP_S, rel=0.1)


async def test_a_turn_that_would_come_too_late_is_refused_at_once_and_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    pace = Pace("top words")
    asleep = asyncio.Event()
    with monkeypatch.context() as standing:
        standing.setattr(asyncio, "sleep", lambda _: asleep.wait())
        waiting = [asyncio.ensure_future(pace.turn(1)) for _ in range(60)]
        await asyncio.wait(waiting, timeout=0.01)
        for _ in range(100):
            with pytest.raises(OverloadedError, match="top words are asked for more often"):
                await pace.turn(0.001)
        asleep.set()
        await asyncio.gather(*waiting)
    clock.now_s += 0.05
    assert await took_s(pace, clock, 1) <= 2 * LEAST_STEP_S


async def test_who_has_left_has_no_turn() -> None:
    pace = Pace("top words")
    waiting = [asyncio.create_task(pace.turn(10)) for _ in range(400)]
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await pace.turn(10 * LEAST_STEP_S)
