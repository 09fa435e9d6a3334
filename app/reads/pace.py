"""How often one kind of question is answered, however many ask it."""

from __future__ import annotations

import asyncio
from time import monotonic

from tables.errors import OverloadedError

LEAST_STEP_S = 0.001
MOST_STEP_S = 0.01
"""From one turn to the next."""

_AT_ONCE = 10
_NEWEST_SHARE = 0.1
"""Of the last lateness in the mean of all."""

_STEPS_PER_LATENESS = 4
"""50 clients that ask for top words without a pause, beside counting at full speed, hold others up by 52 ms (p99); with 1 by 64."""


class Pace:
    """Turns, in the order of coming, that follow each other the slower the later the event loop runs. Used from one event loop.

    Whoever comes while few others do has their turn at once: `_AT_ONCE` of them after a pause. Where more come than have a turn, they
    wait, and what else the loop has to do does not wait for all of them.

    Args:
        what: is asked for; named where there is no turn.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._step_s = LEAST_STEP_S
        self._next_s = 0.0

    async def turn(self, most_s: float) -> None:
        """Return when it is one's turn. Raises OverloadedError at once where that is further away than `most_s`."""
        now_s = monotonic()
        due_s = max(self._next_s, now_s - (_AT_ONCE - 1) * self._step_s)
        if due_s - now_s > most_s:
            raise OverloadedError(
                f"{self._what} are asked for more often than they can be told", "ask again later"
            )
        self._next_s = due_s + self._step_s
        if due_s <= now_s:
            return
        try:
            await asyncio.sleep(due_s - now_s)
        except asyncio.CancelledError:
            self._next_s -= self._step_s  # Who has left has no turn.
            raise
        late_s = monotonic() - due_s
        step_s = self._step_s + _NEWEST_SHARE * (_STEPS_PER_LATENESS * late_s - self._step_s)
        self._step_s = min(max(step_s, LEAST_STEP_S), MOST_STEP_S)
