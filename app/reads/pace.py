"""The rate limit of one kind of question: turns whose distance grows when the event loop runs late."""

from __future__ import annotations

import asyncio
from time import monotonic

from tables.errors import OverloadedError

LEAST_STEP_S = 0.001
MOST_STEP_S = 0.01
"""Shortest and longest time from one turn to the next."""

_AT_ONCE = 10
"""Turns that may be taken without waiting after a pause."""

_NEWEST_SHARE = 0.1
"""Weight of the newest lateness in the moving average that gives the step."""

_STEPS_PER_LATENESS = 4
"""Length of a step, as a multiple of the event loop's lateness.

Measured while 50 clients asked for top words without a pause and a worker counted at full speed: other requests were delayed by 52 ms
(p99) with 4, and by 64 ms with 1.
"""


class Pace:
    """Gives turns in the order of requests; the later the event loop runs, the longer the time between two turns.

    After a pause `_AT_ONCE` requests have their turn at once. Further requests wait, so that other work of the event loop does not
    wait for all of them. Used from one event loop.

    Args:
        what: plural name of what is asked for, named in the error.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._step_s = LEAST_STEP_S
        self._next_s = 0.0

    async def turn(self, most_s: float) -> None:
        """Return when the caller's turn has come.

        Args:
            most_s: longest time that the caller can wait.

        Raises:
            OverloadedError: the turn would come later; raised at once.
        """
        now_s = monotonic()
        due_s = max(self._next_s, now_s - (_AT_ONCE - 1) * self._step_s)
        if due_s - now_s > most_s:
            raise OverloadedError(
                f"{self._what} are asked for more often than this worker can answer", "ask again later"
            )
        self._next_s = due_s + self._step_s
        if due_s <= now_s:
            return
        try:
            await asyncio.sleep(due_s - now_s)
        except asyncio.CancelledError:
            self._next_s -= self._step_s  # A caller that has left gives its turn back.
            raise
        late_s = monotonic() - due_s
        step_s = self._step_s + _NEWEST_SHARE * (_STEPS_PER_LATENESS * late_s - self._step_s)
        self._step_s = min(max(step_s, LEAST_STEP_S), MOST_STEP_S)
