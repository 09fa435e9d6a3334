"""The first answer of several attempts: when each attempt begins, and which answer or error is used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tables.kafka.first_answer import first_answer

STAGGER_S = 0.02


class Asked:
    """Attempts by name, with what each is to do."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []

    def silent(self, name: str) -> Callable[[], Awaitable[str]]:
        async def wait() -> str:
            self.begun.append(name)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            raise AssertionError

        return wait

    def answers(self, name: str, after_s: float = 0) -> Callable[[], Awaitable[str]]:
        async def answer() -> str:
            self.begun.append(name)
            await asyncio.sleep(after_s)
            return name

        return answer

    def fails(self, name: str) -> Callable[[], Awaitable[str]]:
        async def fail() -> str:
            self.begun.append(name)
            raise OSError(name)

        return fail


async def test_the_next_one_is_not_asked_where_the_first_answers() -> None:
    asked = Asked()
    assert await first_answer([asked.answers("a"), asked.answers("b")], STAGGER_S) == "a"
    assert asked.begun == ["a"]


async def test_a_silent_one_costs_its_share_and_is_not_left_running() -> None:
    asked = Asked()
    assert await first_answer([asked.silent("a"), asked.silent("b"), asked.answers("c")], STAGGER_S) == "c"
    assert (asked.begun, sorted(asked.cancelled)) == (["a", "b", "c"], ["a", "b"])


async def test_one_that_fails_costs_nothing() -> None:
    asked = Asked()
    assert await first_answer([asked.fails("a"), asked.answers("b")], 60) == "b"


async def test_a_slow_one_may_still_win() -> None:
    asked = Asked()
    assert await first_answer([asked.answers("a", 3 * STAGGER_S), asked.silent("b")], STAGGER_S) == "a"
    assert asked.cancelled == ["b"]


async def test_the_first_error_is_told_where_all_fail() -> None:
    asked = Asked()
    with pytest.raises(OSError, match="a"):
        await first_answer([asked.fails("a"), asked.fails("b")], STAGGER_S)


async def test_nothing_is_left_running_where_the_caller_is_cancelled() -> None:
    asked = Asked()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(first_answer([asked.silent("a"), asked.silent("b")], STAGGER_S), 0.1)
    assert sorted(asked.cancelled) == ["a", "b"]
