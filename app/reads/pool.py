"""Threads that answer questions of one kind: each has a budget, those that wait are bounded, and equal ones are answered once.

A question joins an equal one that waits, never one that is being answered: that one may read what is older than an answer which the
asker has seen. A question that nobody waits for any more is not begun, or ends at its next `Budget.check`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from time import monotonic
from typing import Any, TypeVar

from tables.errors import NotReadyError, OverloadedError, QueryTimeoutError

Value = TypeVar("Value")


class Budget:
    """How long a question may be answered; looked at by the thread that does.

    Args:
        deadline: by `time.monotonic`.

    Attributes:
        deadline: see above; later when somebody else asks the same.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._ended = Event()

    def end(self) -> None:
        """Nobody waits for the answer any more."""
        self._ended.set()

    def check(self) -> None:
        """Raises QueryTimeoutError where the time is over, or nobody waits any more."""
        if self._ended.is_set() or monotonic() > self.deadline:
            raise too_slow()


class QueryPool:
    """Answers questions in threads. Used from one event loop.

    Args:
        name: of the threads.
        threads: questions that are answered at a time.
        most_waiting: unlike questions that wait; one more is refused.
    """

    def __init__(self, name: str, threads: int, most_waiting: int) -> None:
        self._name = name
        self._threads = threads
        self._most_waiting = most_waiting
        self._executor = ThreadPoolExecutor(threads, name)
        self._closed = False
        self._waiting: dict[Hashable, _Question] = {}
        self._answering: set[_Question] = set()

    async def ask(self, key: Hashable, answer: Callable[[Budget], Value], timeout_s: float) -> Value:
        """The result of `answer`, which runs in a thread; of somebody else's where an equal question waits.

        Args:
            key: equal for questions of which one answer serves all.
            answer: calls `Budget.check` now and then.
            timeout_s: from now on, waiting included.

        Raises:
            OverloadedError: too many questions wait.
            QueryTimeoutError: there was no answer in time.
            NotReadyError: the pool is closed.
        """
        if self._closed:
            raise NotReadyError("the worker stops", "ask another one")
        if timeout_s <= 0:
            raise too_slow()
        question = self._waiting.get(key)
        if question is None:
            if len(self._answering) >= self._threads and len(self._waiting) >= self._most_waiting:
                raise OverloadedError(f"{len(self._waiting)} queries wait ({self._name})", "ask again later")
            question = self._waiting[key] = _Question(answer)
        question.budget.deadline = max(question.budget.deadline, monotonic() + timeout_s)
        question.askers += 1
        self._begin()
        try:
            async with asyncio.timeout(timeout_s):
                # One asker that leaves must not cancel the answer of the others.
                result: Value = await asyncio.shield(question.result)
                return result
        except TimeoutError:
            raise too_slow() from None
        finally:
            question.askers -= 1
            if not question.askers:
                question.budget.end()
                if self._waiting.get(key) is question:
                    del self._waiting[key]

    def close(self) -> None:
        """End the threads: what is being answered ends soon, with an error. Nothing is answered from now on."""
        self._closed = True
        for question in self._answering:
            question.budget.end()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Answer those that wait longest, as far as threads are free."""
        while self._waiting and len(self._answering) < self._threads:
            question = self._waiting.pop(next(iter(self._waiting)))
            self._answering.add(question)
            running = asyncio.get_running_loop().run_in_executor(
                self._executor, question.answer, question.budget
            )
            running.add_done_callback(partial(self._answered, question))

    def _answered(self, question: _Question, running: asyncio.Future[Any]) -> None:
        self._answering.discard(question)
        error = None if running.cancelled() else running.exception()
        if question.result.done() or running.cancelled():
            question.result.cancel()
        elif error is None:
            question.result.set_result(running.result())
        else:
            question.result.set_exception(error)
            question.result.exception()  # Whoever asked may have left; asyncio would log that nobody looked at the error.
        self._begin()


class _Question:
    """A question that waits or is being answered.

    Attributes:
        answer: finds the result.
        budget: for `answer`.
        result: what it found.
        askers: how many wait for that.
    """

    def __init__(self, answer: Callable[[Budget], Any]) -> None:
        self.answer = answer
        self.budget = Budget(0.0)
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.askers = 0


def too_slow() -> QueryTimeoutError:
    """The error of a question whose time is over."""
    return QueryTimeoutError(
        "there was no answer in the time that a query may take",
        "ask again, or raise WORDCOUNT_QUERY_TIMEOUT_MS",
    )
