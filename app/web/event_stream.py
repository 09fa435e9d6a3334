"""Server-Sent Events as an answer: sse-starlette's response, whose end is left to its events and its client.

The library ends all streams of a process by itself when it believes that uvicorn stops. To notice that, it replaces `handle_exit` of
uvicorn's server when it is imported, and looks twice a second, for ever, at who handles SIGTERM. Here signals belong to the worker or
the view, which ends streams by `Audiences.close` at its own place in the order of a stop. So this module switches that part off; the
replaced `handle_exit` is never called, because Faust's server takes no signals. `tests/unit/app/web/test_event_stream.py` notices an
upgrade that needs something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse

from app.web.responses import HEADERS
from app.web.told import SEPARATOR

HEARTBEAT_S: Final = 15
"""Time between comments, so that proxies and clients take no quiet stream for a dead one."""


class EventStream(EventSourceResponse):
    """A response with events, for `HEAD` without them.

    Args:
        events: the events, in their order. Their end is the end of the answer.
        on_end: called when the answer has ended, in whatever way.
    """

    def __init__(self, events: AsyncGenerator[ServerSentEvent, None], on_end: Callable[[], None]) -> None:
        super().__init__(
            events, headers=HEADERS, ping=HEARTBEAT_S, ping_message_factory=_heartbeat, sep=SEPARATOR
        )
        self._on_end = on_end
        # Whether a connection goes on after an answer is the server's decision, which says so by itself.
        del self.headers["Connection"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the events until they end or the client leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()

    @staticmethod
    async def _listen_for_exit_signal() -> None:
        await asyncio.Event().wait()


def _heartbeat() -> ServerSentEvent:
    return ServerSentEvent(comment="heartbeat", sep=SEPARATOR)
