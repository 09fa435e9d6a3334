"""The courier of a watch: delivers its crossings to the receiver, again and again until each is accepted or given up.

An attempt that fails is repeated after a pause that doubles, with jitter. Each crossing has a pause of its own, so that one which the
receiver refuses holds no other back. A crossing is sent at least once: a worker that ends between the answer of the receiver and its
record leaves it to the next one, which sends the same id.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, Protocol

import structlog

from app.reads.window_answers import time_text
from app.watch_bodies import WatchDelivery, WatchFailure
from app.watches.crossing import MEDIA_TYPE, event_body
from app.watches.ledger import Ledger, Page
from app.watches.signature import signed_headers
from app.watches.standing import Standing
from app.watches.webhooks import DeliveryError, Webhooks
from tables.pace.backoff import backoff_s

GIVE_UP_S: Final = 86_400
"""How long after it was found a crossing is tried to be delivered."""

MOST_PAUSE_S: Final = 60.0

_IDLE_S: Final = 3_600.0
_LOOK_S: Final = 0.5

_log = structlog.get_logger(__name__)


class WatchObserver(Protocol):
    """Is told what happens to crossings."""

    def watch_crossings(self, found: int) -> None:
        """Report crossings that were found."""
        ...

    def watch_delivery(self, outcome: Literal["delivered", "failed", "given_up"]) -> None:
        """Report how an attempt to deliver a crossing ended, or that a crossing was given up."""
        ...

    def watches_stand(self, *, waiting: int, left_out: int, is_owner: bool) -> None:
        """Report how many crossings wait, how many words the last looks left out, and whether this worker sends."""
        ...


class Courier:
    """Delivers the crossings of one watch, one after the other. Used from one event loop.

    Args:
        page: what is known of the watch.
        ledger: is told what became of crossings.
        standing: shows it to who asks.
        secret: returns the key that signs.
        source: see `app.watches.crossing.event_body`.
        webhooks: sends.
        may_send: returns whether this worker still owns the watches.
        observer: is told how attempts end.
    """

    def __init__(
        self,
        page: Page,
        ledger: Ledger,
        standing: Standing,
        *,
        secret: Callable[[], bytes],
        source: str,
        webhooks: Webhooks,
        may_send: Callable[[], bool],
        observer: WatchObserver,
    ) -> None:
        self._page = page
        self._ledger = ledger
        self._standing = standing
        self._secret = secret
        self._source = source
        self._webhooks = webhooks
        self._may_send = may_send
        self._observer = observer
        self._due_s: dict[str, float] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look whether there is something to deliver."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver for ever, while this worker owns the watches."""
        while True:
            self._woken.clear()
            name, pause_s = self._next() if self._may_send() else (None, _LOOK_S)
            if name is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause_s)
                continue
            try:
                await self._deliver(name)
            except Exception as error:  # noqa: BLE001 - the other crossings are to be delivered, and this one later
                _log.error("unexpected error", error=repr(error), exc_info=error)
                self._failed(name, "unexpected error; the log of the worker says more")

    def _next(self) -> tuple[str | None, float]:
        """Return the crossing that is due for the longest time, else None and the seconds until one is.

        One that was never tried comes before all that were: attempts that end by their time-out take so long that the first of them
        would always be due again.
        """
        name = min(self._page.waiting, key=lambda name: self._due_s.get(name, 0.0), default=None)
        if name is None:
            return None, _IDLE_S
        pause_s = self._due_s.get(name, 0.0) - time.monotonic()
        return (name, 0.0) if pause_s <= 0 else (None, pause_s)

    async def _deliver(self, name: str) -> None:
        watch, crossing = self._page.watch, self._page.waiting[name]
        body = event_body(self._source, watch, crossing)
        attempts = self._standing.attempts[name] = self._standing.attempts.get(name, 0) + 1
        headers = {
            "Content-Type": MEDIA_TYPE,
            **signed_headers(self._secret(), name, int(time.time()), body),
        }
        try:
            await self._webhooks.send(watch.url, body, headers)
        except DeliveryError as error:
            self._failed(name, str(error))
            return
        self._standing.delivered += 1
        self._standing.last_delivery = WatchDelivery(name, time_text(int(time.time())))
        self._observer.watch_delivery("delivered")
        if self._standing.last_failure is not None and self._standing.last_failure.id == name:
            _log.info("a crossing is delivered after failures", watch=watch.name, id=name, attempts=attempts)
        self._settle(name, "delivered")

    def _failed(self, name: str, reason: str) -> None:
        watch, now_s, attempts = self._page.watch, int(time.time()), self._standing.attempts[name]
        self._standing.failures += 1
        self._standing.last_failure = WatchFailure(name, time_text(now_s), reason)
        self._observer.watch_delivery("failed")
        told = {
            "watch": watch.name,
            "receiver": watch.receiver,
            "id": name,
            "attempts": attempts,
            "reason": reason,
        }
        if now_s - self._page.waiting[name].found_s > GIVE_UP_S:
            self._standing.given_up += 1
            self._observer.watch_delivery("given_up")
            _log.error("a crossing is given up: its receiver has not accepted it for a day", **told)
            self._settle(name, "given_up")
            return
        _log.warning("a crossing is not delivered; it is tried again", **told)
        self._due_s[name] = time.monotonic() + backoff_s(attempts, random.random(), MOST_PAUSE_S)  # noqa: S311

    def _settle(self, name: str, state: Literal["delivered", "given_up"]) -> None:
        self._ledger.settle(self._page, name, state, int(time.time()))
        self._due_s.pop(name, None)
        self._standing.attempts.pop(name, None)
