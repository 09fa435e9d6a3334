"""How a process of the simulation answers: the real queries, at once or in threads that stop in the midst."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from app.reads.pool import Budget
from app.reads.queries import WordQueries

if TYPE_CHECKING:
    from tests.simulation.process import Process


class QueriesAtOnce(WordQueries):
    """The real ones, in the simulation's only thread."""

    async def _ask(self, pool: object, key: object, answer: Callable[[Budget], Any], end_s: float = 0) -> Any:
        with self._corruption_reported():
            return answer(Budget(math.inf))


class SlowQueries(WordQueries):
    """The real ones, in threads that stop in the midst."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.counts, lambda: len(process.broker.source))
        self._process = process

    async def _ask(self, pool: object, key: object, answer: Callable[[Budget], Any], end_s: float = 0) -> Any:
        with self._corruption_reported():
            return await self._process.read(answer, Budget(math.inf))


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing; it may give others a turn."""
    try:
        while True:
            turn = coroutine.send(None)
            assert turn is None, "it waits for something"
    except StopIteration as end:
        return end.value
