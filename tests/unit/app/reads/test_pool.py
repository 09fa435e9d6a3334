"""The query pool bounds questions in number and time, answers equal questions once, and ends a question whose askers have left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any

import pytest

from app.reads.pool import Budget, QueryPool
from tables.errors import NotReadyError, OverloadedError, QueryTimeoutError


@pytest.fixture
async def pool() -> AsyncIterator[QueryPool]:
    """One thread, two questions that wait."""
    opened = QueryPool("test", 1, most_waiting=2)
    yield opened
    opened.close()


class Gate:
    """Answers that wait until they are let go."""

    def __init__(self) -> None:
        self.begun: list[object] = []
        self.ended: list[object] = []
        self.open = threading.Event()

    def answering(self, name: object) -> Callable[[Budget], object]:
        def answer(budget: Budget) -> object:
            self.begun.append(name)
            try:
                while not self.open.wait(0.002):
                    budget.check()
            finally:
                self.ended.append(name)
            return name

        return answer


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def asked(
    pool: QueryPool, gate: Gate, key: object, name: object, timeout_s: float = 10.0
) -> asyncio.Task[object]:
    return asyncio.create_task(pool.ask(key, gate.answering(name), timeout_s))


async def test_equal_questions_that_wait_are_answered_once(pool: QueryPool) -> None:
    gate = Gate()
    running = asked(pool, gate, "a", "first")
    await until(lambda: gate.begun)
    same = [asked(pool, gate, "b", number) for number in range(5)]
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(running, *same) == ["first", 0, 0, 0, 0, 0]
    assert gate.begun == ["first", 0]


async def test_a_question_does_not_join_one_that_is_being_answered(pool: QueryPool) -> None:
    """That one may have read what is older than an answer which the asker has seen."""
    gate = Gate()
    running = asked(pool, gate, "a", "older")
    await until(lambda: gate.begun)
    later = asked(pool, gate, "a", "newer")
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(running, later) == ["older", "newer"]


async def test_one_question_too_many_is_refused_at_once(pool: QueryPool) -> None:
    gate = Gate()
    others = [asked(pool, gate, number, number) for number in range(3)]
    await until(lambda: gate.begun)
    started = monotonic()
    with pytest.raises(OverloadedError, match="2 queries wait"):
        await pool.ask("one more", gate.answering("one more"), 10.0)
    assert monotonic() - started < 1
    joined = asked(pool, gate, 2, "joins")
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(*others, joined) == [0, 1, 2, 2]


async def test_a_question_that_takes_too_long_ends_with_its_thread(pool: QueryPool) -> None:
    gate = Gate()
    with pytest.raises(QueryTimeoutError):
        await pool.ask("slow", gate.answering("slow"), 0.02)
    await until(lambda: gate.ended == ["slow"])
    gate.open.set()
    assert await pool.ask("next", gate.answering("next"), 10.0) == "next"


async def test_a_question_whose_askers_have_all_gone_ends(pool: QueryPool) -> None:
    gate = Gate()
    blocking = asked(pool, gate, "a", "blocking")
    await until(lambda: gate.begun)
    waiting = [asked(pool, gate, "b", "waiting") for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0.01)
    assert not waiting[1].done()
    waiting[1].cancel()
    blocking.cancel()
    await until(lambda: gate.ended)
    gate.open.set()
    assert await pool.ask("c", gate.answering("c"), 10.0) == "c"
    assert gate.begun == ["blocking", "c"]


async def test_one_asker_that_leaves_takes_no_answer_from_the_others(pool: QueryPool) -> None:
    gate = Gate()
    blocking = asked(pool, gate, "a", "blocking")
    await until(lambda: gate.begun)
    both = [asked(pool, gate, "b", number) for number in range(2)]
    await asyncio.sleep(0)
    both[0].cancel()
    gate.open.set()
    assert await asyncio.gather(blocking, both[1]) == ["blocking", 0]


async def test_an_error_is_everybodys(pool: QueryPool) -> None:
    def fail(_: Budget) -> None:
        raise KeyError("x")

    gate = Gate()
    blocking = asked(pool, gate, "a", "blocking")
    await until(lambda: gate.begun)
    both = [asyncio.create_task(pool.ask("b", fail, 10.0)) for _ in range(2)]
    await asyncio.sleep(0)
    gate.open.set()
    await blocking
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results] == [KeyError, KeyError]


async def test_whoever_joins_a_question_with_less_time_does_not_shorten_it_for_others(
    pool: QueryPool,
) -> None:
    budgets: list[Budget] = []
    gate = threading.Event()

    def answer(budget: Budget) -> str:
        budgets.append(budget)
        assert gate.wait(10)
        budget.check()
        return "answer"

    first = asyncio.create_task(pool.ask("busy", lambda _: gate.wait(10), 10))
    await asyncio.sleep(0.01)
    patient = asyncio.create_task(pool.ask("same", answer, 10))
    hasty = asyncio.create_task(pool.ask("same", answer, 0.02))
    with pytest.raises(QueryTimeoutError):
        await hasty
    gate.set()
    assert await patient == "answer"
    await first
    with pytest.raises(QueryTimeoutError):
        await pool.ask("late", answer, -0.1)
    assert len(budgets) == 1


async def test_a_closed_pool_is_not_ready(pool: QueryPool) -> None:
    pool.close()
    with pytest.raises(NotReadyError):
        await pool.ask("key", lambda _: None, 1)


async def test_a_question_that_waits_while_the_pool_is_closed_ends_at_once(
    pool: QueryPool, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    blocking = asked(pool, gate, "a", "blocking")
    await until(lambda: gate.begun)
    waiting = asked(pool, gate, "b", "waiting")
    await asyncio.sleep(0)
    pool.close()
    with pytest.raises(NotReadyError):
        await asyncio.wait_for(waiting, 5)
    gate.open.set()
    await asyncio.gather(blocking, return_exceptions=True)
    assert (gate.begun, caplog.records) == (["blocking"], [])


async def test_a_question_that_no_thread_has_begun_when_the_pool_is_closed_is_not_cancelled(
    pool: QueryPool,
) -> None:
    busy = threading.Event()
    await pool.ask("first", lambda _: None, 10)
    assert pool._executor is not None
    pool._executor.submit(busy.wait, 10)
    question = asyncio.create_task(pool.ask("key", lambda _: None, 10))
    await asyncio.sleep(0)
    pool.close()
    try:
        with pytest.raises(NotReadyError):
            await asyncio.wait_for(question, 5)
    finally:
        busy.set()
