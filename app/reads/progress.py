"""Waiting until records are counted: clients that wait for the same partitions share their looks at the positions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from time import monotonic
from typing import Final, TypeAlias

from app.reads.answers import NotCountedYetError, Terms
from app.reads.parties import Found, Parties
from app.reads.questions import PositionsAsked

_LOOK_S: Final = 0.02
_MOST_LOOK_S: Final = 0.2
"""Shortest and longest pause of a client between two looks; the pause grows while the client waits."""

_GROWTH: Final = 1.3


_Place: TypeAlias = tuple[frozenset[int], int | None]
"""Where a look looks: the partitions, and `max_lag_records`."""


class Progress:
    """Looks at positions for clients that wait. Used from one event loop.

    A client joins a look at the same partitions that is under way: what it shows may be too old to end the waiting, but never too new.

    Args:
        parties: tell the positions.
        timeout_s: the longest time that a look may take.
    """

    def __init__(self, parties: Parties, timeout_s: float) -> None:
        self._parties = parties
        self._timeout_s = timeout_s
        self._looks: dict[_Place, asyncio.Task[Found]] = {}
        """The looks under way."""

    async def reached(self, after: Mapping[int, int], max_lag_records: int | None, end_s: float) -> None:
        """Return when the records in `after` are counted.

        Args:
            after: partition -> offset of a record.
            max_lag_records: see `app.reads.answers.Terms`.
            end_s: end of the waiting, by `time.monotonic`.

        Raises:
            NotCountedYetError: the records were not counted in time.
        """
        pause_s = _LOOK_S
        while True:
            as_of = (await self._look((frozenset(after), max_lag_records))).as_of
            if all(as_of.get(number, 0) > offset for number, offset in after.items()):
                return
            left_s = end_s - monotonic()
            if left_s <= 0:
                raise NotCountedYetError(
                    after, {number: as_of[number] for number in after if number in as_of}
                )
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * _GROWTH, _MOST_LOOK_S)

    async def _look(self, place: _Place) -> Found:
        look = self._looks.get(place)
        if look is None:
            look = self._looks[place] = asyncio.create_task(self._positions(*place))
            look.add_done_callback(lambda _: self._looks.pop(place))
        # A client that leaves must not cancel the look of the others.
        return await asyncio.shield(look)

    async def _positions(self, partitions: Collection[int], max_lag_records: int | None) -> Found:
        return await self._parties.gather(
            lambda numbers: PositionsAsked(partitions=numbers, max_lag_records=max_lag_records),
            Terms(max_lag_records=max_lag_records),
            monotonic() + self._timeout_s,
            partitions,
        )
