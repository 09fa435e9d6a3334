"""What a question was answered with, and the events that tell it to its clients, each of which is encoded once for all of them."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from sse_starlette.event import ServerSentEvent

from app.bodies import Freshness
from app.web.problems import problem_of_any

SEPARATOR: Final = "\n"

EventKind = Literal["snapshot", "change", "unavailable"]
News = Freshness | Exception
"""The body of an answer, or why there is none."""


class Told:
    """News, with an event for each kind and id that a client needs. Used from one event loop.

    Args:
        news: what was found.
    """

    def __init__(self, news: News) -> None:
        self.news = news
        self._data: str | None = None
        self._events: dict[tuple[EventKind, str | None], ServerSentEvent] = {}

    def event(self, kind: EventKind, event_id: str | None) -> ServerSentEvent:
        """Return the event; clients that have seen the same positions get the same one.

        Args:
            kind: type of the event.
            event_id: what the client has seen with this event; None leaves its last id as it was.
        """
        event = self._events.get((kind, event_id))
        if event is None:
            if self._data is None:
                body = problem_of_any(self.news) if isinstance(self.news, Exception) else self.news
                self._data = msgspec.json.encode(body).decode()
            event = self._events[kind, event_id] = SharedEvent(
                self._data, event=kind, id=event_id, sep=SEPARATOR
            )
        return event


class SharedEvent(ServerSentEvent):
    """An event that is sent to many clients, and encoded for the first of them."""

    _encoded: bytes | None = None

    def encode(self) -> bytes:
        """Return the event's lines."""
        if self._encoded is None:
            self._encoded = super().encode()
        return self._encoded
