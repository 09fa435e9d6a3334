"""Audiences: questions that clients ask again and again, each asked once for all of its clients, whose number is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from app.bodies import Freshness
from app.web.problems import TooManyStreamsError
from app.web.stream_client import StreamClient, StreamObserver
from app.web.told import News, Told
from tables.errors import WordcountError

MOST_CLIENTS: Final = 1_000
"""Most clients of a process, where nothing else is said."""

TOLD_AT_ONCE: Final = 10
"""Clients that are told in one turn of the event loop. An event takes a fifth of a millisecond: a thousand in one turn would keep all
other clients waiting, and a worker whose event loop is late counts with pauses (ADR 14)."""

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


class Audiences:
    """All questions that are asked again and again, and their clients. Used from one event loop.

    Args:
        observer: reports clients and events; None = nobody is told.
        most_clients: returns the most clients at a time.
    """

    def __init__(
        self, observer: StreamObserver | None = None, most_clients: Callable[[], int] = lambda: MOST_CLIENTS
    ) -> None:
        self._observer = observer
        self._most_clients = most_clients
        self._audiences: dict[Hashable, _Audience] = {}
        self._clients = 0
        self._ending = asyncio.Event()

    @property
    def questions(self) -> int:
        """How many different questions are asked now."""
        return len(self._audiences)

    def join(self, question: Question, seen: dict[int, int]) -> StreamClient:
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
        audience = self._audiences.get(question.key)
        if audience is None:
            audience = self._audiences[question.key] = _Audience(question)
        client = StreamClient(question.interval_s, seen, self._ending, self._observer)
        audience.add(client)
        self._count(1)
        return client

    def leave(self, question: Question, client: StreamClient) -> None:
        """Forget a client that has joined; a question without clients is asked no more."""
        audience = self._audiences[question.key]
        if audience.remove(client):
            del self._audiences[question.key]
        self._count(-1)

    def moved(self) -> None:
        """Ask questions soon that were waiting for a change, because counts of this process have moved."""
        for audience in self._audiences.values():
            audience.moved()

    def close(self) -> None:
        """End the events of all clients, also of those that join later, because the process is about to end."""
        self._ending.set()
        for audience in self._audiences.values():
            audience.wake()

    def _count(self, more: int) -> None:
        self._clients += more
        if self._observer is not None:
            self._observer.stream_clients(self._clients)


class _Audience:
    """One question and its clients.

    It is asked at every interval, because counts of other workers move, too; at once for a client that joins; and at once when counts
    of this process move, if no other answer was found for an interval. So the first change after a quiet time comes without delay.

    A client is told of answers only whose asking began after the client had joined: so it is told the newest counts, as by the plain
    resource, also if others have watched for a minute already.
    """

    def __init__(self, question: Question) -> None:
        self._question = question
        self._clients: dict[StreamClient, None] = {}
        self._wanted = asyncio.Event()
        self._as_of: Mapping[int, int] | None = None
        self._loop = asyncio.get_running_loop()
        self._moved_s = self._urged_s = self._loop.time()
        self._asking = asyncio.create_task(self._ask_on())

    def add(self, client: StreamClient) -> None:
        self._clients[client] = None
        self._wanted.set()

    def remove(self, client: StreamClient) -> bool:
        """Remove a client; return whether it was the last one, and the question is asked no more."""
        del self._clients[client]
        if not self._clients:
            self._asking.cancel()
        return not self._clients

    def moved(self) -> None:
        now_s = self._loop.time()
        # Where counts move and this answer does not, it is asked for no more often than its clients have said.
        if now_s >= max(self._moved_s, self._urged_s) + self._question.interval_s:
            self._urged_s = now_s
            self._wanted.set()

    def wake(self) -> None:
        """Let all clients see that they end."""
        for client in self._clients:
            client.wake()

    async def _ask_on(self) -> None:
        while True:
            self._wanted.clear()
            asked_for = list(self._clients)
            news = await self._news()
            as_of = news.as_of if isinstance(news, Freshness) else None
            if as_of is None or as_of != self._as_of:
                self._as_of, self._moved_s = as_of, self._loop.time()
            told = Told(news)
            for number, client in enumerate(asked_for, 1):
                client.tell(told)
                if not number % TOLD_AT_ONCE:
                    await asyncio.sleep(0)
            waits = any(client.is_waiting for client in asked_for)
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
