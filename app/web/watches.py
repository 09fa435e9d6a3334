"""Watches: questions that clients ask again and again, each asked once for all of its clients, whose number is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from app.bodies import Freshness
from app.web.problems import TooManyStreamsError
from app.web.watcher import News, Watcher, WatcherObserver
from tables.errors import WordcountError

MOST_CLIENTS: Final = 500
"""Most clients of a process, where nothing else is said."""

SOON_S: Final = 0.25
"""Pause before the next look for a client that waits for counts to reach the positions that it has seen."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """What a client watches.

    Attributes:
        key: equal for questions that have the same answers at the same pace.
        interval_s: pause from an answer to the next asking, and least time between two events of a client, in seconds.
        ask: asks once.
    """

    key: Hashable
    interval_s: float
    ask: Callable[[], Awaitable[Freshness]]


class Watches:
    """All questions that are watched, and the clients that watch them. Used from one event loop.

    Args:
        observer: reports clients and events; None = nobody is told.
        most_clients: returns the most clients at a time.
    """

    def __init__(
        self, observer: WatcherObserver | None = None, most_clients: Callable[[], int] = lambda: MOST_CLIENTS
    ) -> None:
        self._observer = observer
        self._most_clients = most_clients
        self._watches: dict[Hashable, _Watch] = {}
        self._clients = 0
        self._ending = asyncio.Event()

    @property
    def questions(self) -> int:
        """How many different questions are asked now."""
        return len(self._watches)

    def join(self, question: Question, seen: dict[int, int]) -> Watcher:
        """Return a new client of `question`, which has to be told by `leave` when it is gone.

        Args:
            question: what the client watches.
            seen: partition -> next offset to count, as in `as_of`, below which the client has to see no answer.

        Raises:
            TooManyStreamsError: as many clients watch as may.
        """
        most = self._most_clients()
        if self._clients >= most:
            raise TooManyStreamsError(
                f"{most} clients watch already, which is as many as may (WORDCOUNT_STREAM_CLIENTS)",
                "watch at another worker or a view, or ask the plain resource again and again",
            )
        watch = self._watches.get(question.key)
        if watch is None:
            watch = self._watches[question.key] = _Watch(question)
        watcher = Watcher(question.interval_s, seen, self._ending, self._observer)
        watch.add(watcher)
        self._count(1)
        return watcher

    def leave(self, question: Question, watcher: Watcher) -> None:
        """Forget a client that has joined; a question without clients is asked no more."""
        watch = self._watches[question.key]
        if watch.remove(watcher):
            del self._watches[question.key]
        self._count(-1)

    def moved(self) -> None:
        """Ask questions soon that were waiting for a change, because counts of this process have moved."""
        for watch in self._watches.values():
            watch.moved()

    def close(self) -> None:
        """End the events of all clients, also of those that join later, because the process is about to end."""
        self._ending.set()
        for watch in self._watches.values():
            watch.wake()

    def _count(self, more: int) -> None:
        self._clients += more
        if self._observer is not None:
            self._observer.stream_clients(self._clients)


class _Watch:
    """One question and its clients.

    It is asked at every interval, because counts of other workers move, too; at once for a client that joins; and at once when counts
    of this process move, if no other answer was found for an interval. So the first change after a quiet time comes without delay.

    A client is told of answers only whose asking began after the client had joined: so it is told the newest counts, as by the plain
    resource, also if others have watched for a minute already.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self._watchers: dict[Watcher, None] = {}
        self._wanted = asyncio.Event()
        self._as_of: Mapping[int, int] | None = None
        self._loop = asyncio.get_running_loop()
        self._moved_s = self._loop.time()
        self._asking = asyncio.create_task(self._ask_on())

    def add(self, watcher: Watcher) -> None:
        self._watchers[watcher] = None
        self._wanted.set()

    def remove(self, watcher: Watcher) -> bool:
        """Remove a client; return whether it was the last one, and the question is asked no more."""
        del self._watchers[watcher]
        if not self._watchers:
            self._asking.cancel()
        return not self._watchers

    def moved(self) -> None:
        if self._loop.time() >= self._moved_s + self._question.interval_s:
            self._wanted.set()

    def wake(self) -> None:
        """Let all clients see that they end."""
        for watcher in self._watchers:
            watcher.wake()

    async def _ask_on(self) -> None:
        while True:
            self._wanted.clear()
            asked_for = list(self._watchers)
            news = await self._news()
            as_of = news.as_of if isinstance(news, Freshness) else None
            if as_of is None or as_of != self._as_of:
                self._as_of, self._moved_s = as_of, self._loop.time()
            for watcher in asked_for:
                watcher.tell(news)
            waits = any(watcher.is_waiting for watcher in asked_for)
            pause_s = min(self._question.interval_s, SOON_S) if waits else self._question.interval_s
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause_s)

    async def _news(self) -> News:
        try:
            return await self._question.ask()
        except WordcountError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the clients are told, and the next answer may be right
            _log.error("unexpected error", error=repr(error), exc_info=error)
            return error
