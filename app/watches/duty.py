"""The duty of the watches: one worker of the group evaluates them and sends, and any worker says how they stand.

It is the worker that owns the lowest partition by the map of the group, which every worker has. A worker that gets the duty reads the
ledger first; one that loses it stops. For a moment two workers may have it: they send the same ids. Whatever fails is tried again:
watches never end a worker, and never wait for each other's receivers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from agents.source.group_map import GroupMap
from app.config.watches import Watch
from app.reads.window_answers import AllQueries
from app.watch_bodies import Watches
from app.watches.courier import Courier, WatchObserver
from app.watches.evaluation import MOST_WORDS, Evaluation
from app.watches.ledger import Ledger
from app.watches.standing import Standing, crossing_body
from app.watches.webhooks import Webhooks
from tables.errors import NotReadyError, WordcountError

EVERY_S: Final = 1.0
"""Pause between two rounds."""

MOST_WAITING: Final = 200
"""Crossings of a watch that wait, above which it is not looked at: its windows keep what there is to find."""

MOST_WRITTEN: Final = 500
"""Most records that are appended at once."""

CLOSE_S: Final = 2.0
"""Longest time to write what is not written when the worker stops. What is not, is found or sent again."""

_log = structlog.get_logger(__name__)


class Log(Protocol):
    """The durable records of watches, see `app.watches.topic.WatchTopic`."""

    async def read(self) -> Mapping[bytes, bytes]:
        """Return the last value of each key."""
        ...

    async def append(self, records: Mapping[bytes, bytes | None]) -> None:
        """Append records."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class WatchDuty:
    """Evaluates watches and sends crossings while this worker owns them. Used from one event loop.

    Args:
        watches: the watches, with words as the tokeniser has them -> the key that signs what their receivers are sent.
        source: see `app.watches.crossing.event_body`.
        queries: answers questions over all partitions.
        log: the durable records.
        webhooks: sends.
        group_map: returns the map of the group; None = not known.
        check_lease: raises a WordcountError if the group may take this worker for dead.
        ask: asks the worker at a URL how the watches stand.
        observer: is told what happens.
    """

    def __init__(
        self,
        watches: Sequence[tuple[Watch, Callable[[], bytes]]],
        *,
        source: str,
        queries: AllQueries,
        log: Log,
        webhooks: Webhooks,
        group_map: Callable[[], GroupMap | None],
        check_lease: Callable[[], None],
        ask: Callable[[str], Awaitable[Watches]],
        observer: WatchObserver,
    ) -> None:
        self._watches = watches
        self._source = source
        self._evaluation = Evaluation(queries)
        self._log = log
        self._webhooks = webhooks
        self._group_map = group_map
        self._check_lease = check_lease
        self._ask = ask
        self._observer = observer
        self._ledger: Ledger | None = None
        self._standings: dict[str, Standing] = {}
        self._couriers: list[tuple[Courier, asyncio.Task[None]]] = []
        self._problem: str | None = "the watches are not loaded yet"
        self._running: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._is_quiet = True

    def start(self) -> None:
        """Take part in the duty from now on."""
        self._running = asyncio.create_task(self._run())

    def moved(self) -> None:
        """Look soon, because counts of this process have moved."""
        self._moved.set()

    async def close(self) -> None:
        """Stop for good."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._stop_couriers()
        if self._ledger is not None and self._is_owner():
            with suppress(WordcountError, TimeoutError):
                await asyncio.wait_for(self._write(self._ledger), CLOSE_S)
        await self._webhooks.close()
        await self._log.close()

    async def state(self) -> Watches:
        """Return how the watches stand, as the worker says that has the duty.

        Raises:
            NotReadyError: that worker is not known, or does not answer.
        """
        group_map = self._group_map()
        owner = None if group_map is None else group_map.first_owner
        if group_map is None or owner is None:
            raise NotReadyError("it is not known yet which worker sends the watches", "ask again")
        return self.here() if owner is group_map.myself else await self._ask(owner.url)

    def here(self) -> Watches:
        """Return how the watches stand; `state` of the worker that has the duty.

        Raises:
            NotReadyError: this worker has not the duty.
        """
        group_map = self._group_map()
        if group_map is None or not self._is_owner():
            raise NotReadyError("this worker does not send the watches", "ask again")
        pages = [] if self._ledger is None else list(self._ledger.pages.values())
        recent = {} if self._ledger is None else self._ledger.recent
        standings = [self._standings[page.key] for page in pages]
        as_of = _least(
            [one.as_of for one in standings if not one.is_held] or [one.as_of for one in standings]
        )
        attempts = {name: tried for standing in standings for name, tried in standing.attempts.items()}
        return Watches(
            as_of=as_of,
            complete=bool(as_of),
            missing_partitions=[],
            served_by={},
            behind={},
            owner=group_map.myself.url,
            here=True,
            problem=self._problem,
            watches=[standing.body(page) for standing, page in zip(standings, pages, strict=True)],
            crossings=[crossing_body(one, attempts.get(name, 0)) for name, one in reversed(recent.items())],
        )

    def _is_owner(self) -> bool:
        group_map = self._group_map()
        if group_map is None or group_map.first_owner is not group_map.myself:
            return False
        try:
            self._check_lease()
        except WordcountError:
            return False
        return True

    async def _run(self) -> None:
        while True:
            began_s, self._is_quiet = time.monotonic(), False
            try:
                is_behind = await self._turn()
                self._problem = None
            except WordcountError as error:
                is_behind = False
                if str(error) != self._problem:
                    self._problem = str(error)
                    _log.warning("watches cannot be looked at; it is tried again", reason=self._problem)
            except Exception as error:  # noqa: BLE001 - counting goes on, and the next turn may succeed
                is_behind = False
                self._problem = "unexpected error; the log of the worker says more"
                _log.error("unexpected error", error=repr(error), exc_info=error)
            took_s = time.monotonic() - began_s
            if is_behind:
                await asyncio.sleep(took_s)  # Who asks over HTTP has every other moment.
            elif self._is_quiet:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), EVERY_S)
            else:
                await asyncio.sleep(max(0.0, EVERY_S - took_s))

    async def _turn(self) -> bool:
        """Do what is due; return whether more is."""
        self._moved.clear()
        if not self._is_owner():
            self._is_quiet = True
            if self._ledger is not None:
                _log.info("another worker sends the watches from now on")
                await self._stop_couriers()
                self._ledger = None
                self._observer.watches_stand(waiting=0, left_out=0, is_owner=False)
            return False
        if self._ledger is None:
            self._begin(await self._log.read())
        ledger = self._ledger
        assert ledger is not None
        is_behind = await self._look_at_all(ledger)
        await self._write(ledger)
        self._observer.watches_stand(
            waiting=sum(len(page.waiting) for page in ledger.pages.values()),
            left_out=sum(standing.left_out for standing in self._standings.values()),
            is_owner=True,
        )
        return is_behind

    def _begin(self, records: Mapping[bytes, bytes]) -> None:
        """Begin to send, by what the durable records say."""
        ledger = Ledger([watch for watch, _ in self._watches])
        ledger.load(records, int(time.time()))
        self._standings = {key: Standing() for key in ledger.pages}
        for page, (_, secret) in zip(ledger.pages.values(), self._watches, strict=True):
            courier = Courier(
                page,
                ledger,
                self._standings[page.key],
                secret=secret,
                source=self._source,
                webhooks=self._webhooks,
                may_send=self._is_owner,
                observer=self._observer,
            )
            self._couriers.append((courier, asyncio.create_task(courier.run())))
        self._ledger = ledger
        _log.info("this worker sends the watches from now on", watches=len(ledger.pages))

    async def _look_at_all(self, ledger: Ledger) -> bool:
        known = await self._evaluation.overview()
        self._is_quiet = True
        for page, (courier, _) in zip(ledger.pages.values(), self._couriers, strict=True):
            standing = self._standings[page.key]
            if len(page.waiting) >= MOST_WAITING:
                # It is asked again after the usual pause, not whenever counts have moved.
                standing.is_held, self._is_quiet = True, False
                continue
            if standing.is_done_at(known.as_of):
                continue
            self._is_quiet, now_s = False, int(time.time())
            try:
                found = await self._evaluation.evaluate(page, known, standing.turn_s, now_s)
            except WordcountError as error:
                standing.problem = str(error)
                continue
            noted, left_out = ledger.found(page, found.crossings, MOST_WORDS)
            if found.since_s != page.since_s:
                ledger.look_from(page, found.since_s, now_s)
            standing.is_held = False
            standing.looks = standing.looks + 1 if standing.as_of == known.as_of else 1
            standing.as_of, standing.evaluated_s, standing.problem = known.as_of, now_s, found.problem
            standing.turn_s, standing.rounds, standing.is_behind = found.turn_s, found.rounds, found.is_behind
            standing.left_out = left_out
            self._observer.watch_crossings(noted)
            if noted:
                courier.wake()
        return any(standing.is_behind for standing in self._standings.values())

    async def _write(self, ledger: Ledger) -> None:
        while records := ledger.unwritten(MOST_WRITTEN):
            await self._log.append(records)
            ledger.written(records)

    async def _stop_couriers(self) -> None:
        couriers, self._couriers = self._couriers, []
        for _, task in couriers:
            task.cancel()
        await asyncio.gather(*(task for _, task in couriers), return_exceptions=True)


def _least(positions: Sequence[Mapping[int, int]]) -> dict[int, int]:
    """Return the least position of each partition; empty unless all know the same partitions."""
    if not positions or any(one.keys() != positions[0].keys() for one in positions):
        return {}
    return {number: min(one[number] for one in positions) for number in sorted(positions[0])}
