"""Thread pools for reads: each question has a time budget, waiting questions are bounded in number, and equal ones share an answer.

A new question joins an equal question that still waits, but never an equal question that is being answered: the latter may read data
that is older than an answer which the client has already seen. A question for which no client waits any more is not begun, or ends at
its next `Budget.check`.
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
    """The time that an answer may take; the answering thread checks the budget.

    Args:
        deadline: the end, by `time.monotonic`, in seconds.

    Attributes:
        deadline: the end; becomes later when another client asks an equal question.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._ended = Event()

    def end(self) -> None:
        """End the budget at once, because no client waits for the answer any more."""
        self._ended.set()

    def check(self) -> None:
        """Raise QueryTimeoutError if the time is over, or if no client waits any more."""
        if self._ended.is_set() or monotonic() > self.deadline:
            raise too_slow()


class QueryPool:
    """Answers questions in threads. Used from one event loop.

    Args:
        name: name of the threads.
        threads: number of questions that are answered at the same time.
        most_waiting: most different questions that wait; a further question is refused.
    """

    def __init__(self, name: str, threads: int, most_waiting: int) -> None:
        self._name = name
        self._threads = threads
        self._most_waiting = most_waiting
        self._executor: ThreadPoolExecutor | None = None
        """Made for the first question: many pools are never asked."""
        self._closed = False
        self._waiting: dict[Hashable, _Question] = {}
        self._answering: set[_Question] = set()

    async def ask(self, key: Hashable, answer: Callable[[Budget], Value], timeout_s: float) -> Value:
        """Run `answer` in a thread and return its result; if an equal question waits already, return the result of that question.

        Args:
            key: identifies the question; questions with equal keys can share an answer.
            answer: finds the result, and calls `Budget.check` often enough to end soon after its deadline.
            timeout_s: longest time from now to the result, waiting included.

        Raises:
            OverloadedError: too many questions wait.
            QueryTimeoutError: there was no answer in time.
            NotReadyError: the pool is closed.
        """
        if self._closed:
            raise _stops()
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
                # A client that leaves must not cancel the answer for which other clients wait.
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
        """Answer nothing from now on. Questions that wait end with an error at once, the others at their next `Budget.check`."""
        self._closed = True
        for waiting in self._waiting.values():
            waiting.result.set_exception(_stops())
        self._waiting.clear()
        for question in self._answering:
            question.budget.end()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Begin the questions that have waited longest, as many as there are free threads."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, self._name)
        while self._waiting and len(self._answering) < self._threads:
            question = self._waiting.pop(next(iter(self._waiting)))
            self._answering.add(question)
            running = asyncio.get_running_loop().run_in_executor(
                self._executor, question.answer, question.budget
            )
            running.add_done_callback(partial(self._answered, question))

    def _answered(self, question: _Question, running: asyncio.Future[Any]) -> None:
        self._answering.discard(question)
        # Only `close` cancels, where no thread has begun.
        error = _stops() if running.cancelled() else running.exception()
        if error is None:
            question.result.set_result(running.result())
        else:
            question.result.set_exception(error)
            # All clients may have left. asyncio would then log that nobody has read the error; this line reads the error.
            question.result.exception()
        self._begin()


class _Question:
    """A question that waits or is being answered.

    Attributes:
        answer: finds the result.
        budget: the time that `answer` has.
        result: the result of `answer`.
        askers: number of clients that wait for the result.
    """

    def __init__(self, answer: Callable[[Budget], Any]) -> None:
        self.answer = answer
        self.budget = Budget(0.0)
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.askers = 0


def _stops() -> NotReadyError:
    return NotReadyError("the worker stops", "ask another worker")


def too_slow() -> QueryTimeoutError:
    """Return the error of a question whose time is over."""
    return QueryTimeoutError(
        "there was no answer in the time that a query may take",
        "ask again, or raise WORDCOUNT_QUERY_TIMEOUT_MS",
    )
