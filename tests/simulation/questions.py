"""The questions of a schedule: each answer is judged as soon as it comes, and the first one that is wrong is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

from tests.simulation.judge import Judge
from tests.simulation.owned_tasks import CURRENT
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.wrong_error import WrongError

KINDS = ["list", "top", "get"]


class Questions:
    """Asks, and keeps what was wrong.

    Args:
        judge: judges the answers.

    Attributes:
        error: the first promise that was broken; None = none was.
    """

    def __init__(self, judge: Judge) -> None:
        self.error: WrongError | None = None
        self._judge = judge

    def read(self, processes: Sequence[Process], plan: Plan, random: Random, apart: Random) -> None:
        """Ask some of the processes questions that are answered while other threads write; `apart` as in `Process`."""
        process, kind = random.choice(processes), random.choice(KINDS)
        self._ask(process, self._judge.ask_slowly(process, kind))
        if plan.standbys:
            process, kind = apart.choice(processes), apart.choice(KINDS)
            self._ask(process, self._judge.ask_followers(process, kind))
        if plan.windowed:
            self._ask(process, self._judge.ask_windows(process, followers=apart.random() < 0.5))

    def newest(self, processes: Sequence[Process], apart: Random) -> None:
        """Ask some of the processes one after the other for the newest counts."""
        asked = [apart.choice(processes) for _ in range(2)]
        self._ask(None, self._judge.ask_newest(asked, by_proof=apart.random() < 0.5))

    def _ask(self, process: Process | None, question: Coroutine[Any, Any, None]) -> None:
        """Judge the answer to `question`, which ends with `process`, as soon as it comes; None = with no process."""

        async def ask() -> None:
            try:
                await question
            except WrongError as error:
                self.error = self.error or error
            except AssertionError as error:
                self.wrong("a question is answered or refused", f"{error!r}")

        token = CURRENT.set(process)
        asyncio.get_running_loop().create_task(ask())
        CURRENT.reset(token)

    def wrong(self, promise: str, found: str) -> None:
        """Keep the first broken promise."""
        self.error = self.error or WrongError(promise, found)
