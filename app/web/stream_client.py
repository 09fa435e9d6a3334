"""A client of a stream: who watches one question, with at most one answer that waits for it, and what it was told so far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Final, Protocol

from sse_starlette.event import ServerSentEvent

from app.bodies import Freshness
from app.reads.answers import NotCountedYetError
from app.web.terms import offsets_text
from app.web.told import SEPARATOR, EventKind, News, Told
from tables.errors import BadRequestError

PATIENCE_S: Final = 5.0
"""How long answers may be older than what the client has seen before the client is told that there is none."""

FRESHER_S: Final = 1.0
"""Least time, in seconds, before an event that says no more than the last one but how fresh that is. Counts that change are told
sooner, if the client wants that. So a question about a seldom word costs little while other words are counted."""

RETRY_MS: Final = 1_000
"""Pause before a client whose stream has ended asks again; its `EventSource` finds another worker then."""


class StreamObserver(Protocol):
    """Reports clients of streams and the events that are sent to them."""

    def stream_clients(self, open_now: int) -> None:
        """Report that `open_now` clients have a stream."""
        ...

    def stream_event(self, kind: EventKind) -> None:
        """Report that an event was sent to one client."""
        ...


class StreamClient:
    """One client, who is told the newest answer when it has read the former ones and its interval is over.

    Args:
        interval_s: least time between two events, in seconds.
        seen: partition -> next offset to count of what the client has seen. No event is older in any partition.
        ending: set when all streams end.
        observer: reports events; None = nobody is told.
    """

    def __init__(
        self,
        interval_s: float,
        seen: Mapping[int, int],
        ending: asyncio.Event,
        observer: StreamObserver | None,
    ) -> None:
        self._interval_s = interval_s
        self._seen = dict(seen)
        self._ending = ending
        self._observer = observer
        self._told: Told | None = None
        self._has_news = asyncio.Event()
        self._last: Freshness | None = None
        self._last_s = 0.0
        self._is_unavailable = False
        self._loop = asyncio.get_running_loop()
        self._patient_until_s = self._loop.time() + PATIENCE_S
        self.is_waiting = False
        """Whether the last answer was too old for this client, and the next one should not take long."""

    def tell(self, told: Told) -> None:
        """Keep what is told for this client, in the place of older news that it has not read."""
        self.is_waiting = False
        if isinstance(told.news, Freshness):
            late = self._too_old(told.news)
            if late is not None and self._loop.time() < self._patient_until_s:
                self.is_waiting = True
                return
            if late is None:
                self._patient_until_s = self._loop.time() + PATIENCE_S
            else:
                told = Told(late)
        self._told = told
        self._has_news.set()

    def wake(self) -> None:
        """Look whether all streams end."""
        self._has_news.set()

    async def first(self) -> News | None:
        """Return the first news, and leave them for `events`; None if all streams end."""
        if not self._ending.is_set():
            await self._has_news.wait()
        return None if self._ending.is_set() or self._told is None else self._told.news

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Yield the client's events until all streams end, at last when the client should ask again."""
        while not self._ending.is_set():
            await self._has_news.wait()
            event = self._take()
            if event is not None:
                yield event
                # Unlike `wait_for` before Python 3.12, this makes no task for each event of each client.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval_s):
                        await self._ending.wait()
        yield ServerSentEvent(retry=RETRY_MS, sep=SEPARATOR)

    def _take(self) -> ServerSentEvent | None:
        """Take the news away; return the event that tells them, None if the client knows them, or how fresh they are can wait."""
        told, self._told = self._told, None
        self._has_news.clear()
        if told is None or self._knows(told.news):
            return None
        kind: EventKind = "unavailable"
        # A problem has no positions: its event leaves the id as it was.
        position = None
        if isinstance(told.news, Freshness):
            kind = "snapshot" if self._last is None else "change"
            self._last, self._last_s = told.news, self._loop.time()
            self._seen |= told.news.as_of
            position = offsets_text(self._seen)
        self._is_unavailable = kind == "unavailable"
        if self._observer is not None:
            self._observer.stream_event(kind)
        return told.event(kind, position)

    def _knows(self, news: News) -> bool:
        if not isinstance(news, Freshness):
            return self._is_unavailable
        if self._is_unavailable or self._last is None:
            return False
        if news.news == self._last.news:
            return True
        return self._loop.time() < self._last_s + FRESHER_S and news.facts == self._last.facts

    def _too_old(self, body: Freshness) -> NotCountedYetError | BadRequestError | None:
        """Return what is wrong if `body` is older, in any partition, than what the client has seen; None if it is not.

        A partition that an answer leaves out, because the client allowed that, is not older.
        """
        if body.complete and (unknown := self._seen.keys() - body.as_of.keys()):
            return BadRequestError(
                f'"Last-Event-ID" has partition {min(unknown)}, which the input topic has not',
                "give the id of an event of this topic, or none",
            )
        late = {number: told for number, told in body.as_of.items() if told < self._seen.get(number, 0)}
        if not late:
            return None
        return NotCountedYetError({number: self._seen[number] - 1 for number in late}, late)
