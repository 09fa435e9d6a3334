"""Judges whether an answer keeps the terms of the asker: whole or an error, and as new as the asker demands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

from app.reads.answers import Answer, IncompleteError, NotCountedYetError, Terms
from app.reads.parties import Asks, Found, Parties
from app.reads.progress import Progress
from app.reads.questions import Told
from app.reads.together import united
from tables.errors import BadRequestError, NotReadyError

Value = TypeVar("Value")


class Judge:
    """Asks all parties, and judges what they tell.

    Args:
        parties: asks this process and the other workers.
        timeout_s: the longest time that a question may take.
    """

    def __init__(self, parties: Parties, timeout_s: float) -> None:
        self._parties = parties
        self._timeout_s = timeout_s
        self._progress = Progress(parties, timeout_s)

    def end_s(self) -> float:
        """Return the end of the time of a question that begins now, by `time.monotonic`."""
        return monotonic() + self._timeout_s

    async def answer(
        self, asks: Asks, merged: Callable[[Sequence[Told[Any]]], Value], terms: Terms
    ) -> Answer[Value]:
        """Ask all parties, and return what `merged` makes of what they tell."""
        await self.await_counted(terms)
        found = await self._parties.gather(asks, terms, self.end_s())
        return self.judged(found, merged(found.told), terms)

    def judged(self, found: Found, value: Value, terms: Terms) -> Answer[Value]:
        """Return `value` as an answer if it keeps `terms`."""
        as_of = found.as_of
        if found.reasons and not terms.allow_partial:
            raise IncompleteError(found.reasons)
        if not found.is_whole and not terms.allow_partial:
            raise NotReadyError("it is not known yet how many partitions there are", "ask again")
        if any(as_of.get(number, 0) <= offset for number, offset in terms.after.items()):
            raise NotCountedYetError(terms.after, as_of)
        return Answer(
            value,
            dict(sorted(as_of.items())),
            found.is_whole,
            found.reasons,
            united(told.served_by for told in found.told),
            united(told.behind for told in found.told),
        )

    async def await_counted(self, terms: Terms) -> None:
        """Wait until the records in `terms.after` are counted, or until the asker would wait no longer."""
        if not terms.after:
            return
        count = self._parties.partition_count()
        if count is not None and (unknown := [number for number in terms.after if number >= count]):
            raise BadRequestError(
                f"there is no partition {unknown[0]}", f"the input topic has the partitions 0 to {count - 1}"
            )
        await self._progress.reached(terms.after, terms.max_lag_records, monotonic() + terms.wait_s)
