"""HTTP connections: their number, the size of a request's head, and the time a client has to send a request and read an answer.

uvicorn bounds none of the three. No module but this one and `app.web.access.tls_connection` uses internals of uvicorn and h11.
`tests/unit/app/web/test_connections.py` asks a real server, and fails when a new version of uvicorn or h11 lacks an internal that this
module uses.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, Protocol

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.machine import open_files
from app.web.problems import (
    HEAD_TOO_LARGE,
    MALFORMED,
    NOT_IMPLEMENTED,
    TOO_MANY_CONNECTIONS,
    TOO_SLOW,
    ProblemKind,
    problem_response,
)
from app.web.streams import BrokenStreamError

MOST_CONNECTIONS = 2_000
SHARE_OF_DESCRIPTORS = 4
"""Clients may take one of 4 file descriptors; stores, connections to brokers and logs need the other 3."""

MOST_HEADERS = 100
HEADERS_BYTES = 16_384
REQUEST_S = 10.0
ANSWER_S = 30.0
LOOK_EVERY_S = 0.5
CLOSED_AT_ONCE = 20
NEXT_LOOK_S = 0.01
"""Pause before the next look after a look that closed `CLOSED_AT_ONCE` connections.

Closing all connections in one look would keep other clients waiting for 100 ms.
"""

MOST_UNSENT_BYTES = 131_072
"""Bytes that the system takes of an answer before the client asks for them.

By default the system takes megabytes, and more only once a third of these is read: a client that reads slowly and steadily would seem
to read nothing for longer than `ANSWER_S`.
"""

TELL_EVERY_S = 30.0
LINGER_S = 1.0
"""How long a refused connection stays open, so that the client can read the refusal.

When a connection with unread bytes of the client is closed at once, the client's system discards the refusal.
"""

Reason = Literal["silent", "slow", "unread", "shed", "refused", "malformed"]
Phase = Literal["asking", "idle", "answering", "unread", "refused"]

_log = structlog.get_logger(__name__)


class ConnectionObserver(Protocol):
    """Reports the number of open connections, and each connection that the server closed."""

    def http_connections(self, open_now: int) -> None:
        """Report that `open_now` connections are open."""
        ...

    def http_connection_closed(self, reason: Reason) -> None:
        """Report that the server closed a connection.

        Args:
            reason: silent = the client sent nothing; slow = the client began a request and did not end it; unread = the client did
                not read an answer; shed = the connection was idle and another client needed its place; refused = there was no place;
                malformed = the request was not HTTP.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for the clients of a server.

    Attributes:
        connections: most open connections at a time.
        head_bytes: largest size of request line and headers together.
        request_s: longest time from the beginning of the connection, or from the first byte of a later request, to the last byte of
            the request.
        answer_s: longest time that a client may take to read an answer that is ready, or the next part of an answer in parts.
    """

    connections: int
    head_bytes: int
    request_s: float = REQUEST_S
    answer_s: float = ANSWER_S


def limits_for(max_word_bytes: int) -> Limits:
    """Return limits that allow a request for every word of up to `max_word_bytes`, and leave most file descriptors to other uses."""
    connections = min(MOST_CONNECTIONS, open_files.limit() // SHARE_OF_DESCRIPTORS)
    percent_encoded = 3 * max_word_bytes
    return Limits(max(1, connections), percent_encoded + HEADERS_BYTES)


class Connections:
    """The open connections of a server.

    Args:
        limits: bounds for clients.
        observer: reports connections.
        is_draining: returns whether the process is about to end, so that each answer is the last one of its connection.

    While any connection is open, a timer examines all of them every `LOOK_EVERY_S`. So no request needs a timer of its own.
    """

    def __init__(self, limits: Limits, observer: ConnectionObserver, is_draining: Callable[[], bool]) -> None:
        self.limits = limits
        self.is_draining = is_draining
        self._observer = observer
        self._open: dict[HttpConnection, None] = {}
        self._closed: Counter[Reason] = Counter()
        self._looking: asyncio.TimerHandle | None = None
        self._told_at = -TELL_EVERY_S

    def opened(self, connection: HttpConnection) -> None:
        """Add `connection`; if there are too many, close an unused connection instead of it, or refuse `connection`."""
        self._open[connection] = None
        if self._looking is None:
            self._looking = connection.loop.call_later(LOOK_EVERY_S, self._look, connection.loop)
        if len(self._open) > self.limits.connections:
            shed = self._least_needed(but=connection)
            if shed is None:
                connection.refuse(TOO_MANY_CONNECTIONS, "too many connections are open", linger=False)
                self.closed(connection, "refused")
            else:
                shed.drop()
                self.closed(shed, "shed")
        self._observer.http_connections(len(self._open))

    def lost(self, connection: HttpConnection) -> None:
        """Forget a connection that has ended."""
        self._open.pop(connection, None)
        self._observer.http_connections(len(self._open))

    def answered(self, connection: HttpConnection) -> None:
        """Move `connection` behind all others, because its last answer is the most recent."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def closed(self, connection: HttpConnection, reason: Reason) -> None:
        """Count a connection that the server closed."""
        if reason in ("shed", "refused"):
            # The connection no longer counts as open, although `lost` is called only in the next turn of the event loop.
            self._open.pop(connection, None)
        self._closed[reason] += 1
        self._observer.http_connection_closed(reason)

    def _least_needed(self, but: HttpConnection) -> HttpConnection | None:
        """Return the oldest connection that was refused or has never sent a request, else the longest idle one, else None."""
        idle: HttpConnection | None = None
        for connection in self._open:
            if connection is but:
                continue
            phase = connection.phase
            if phase == "refused" or (phase == "asking" and connection.cycle is None):
                return connection
            if idle is None and phase == "idle":
                idle = connection
        return idle

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        closed = 0
        for connection in list(self._open):
            closed += connection.look(now_s)
            if closed == CLOSED_AT_ONCE:
                break
        if self._closed and now_s - self._told_at >= TELL_EVERY_S:
            self._told_at = now_s
            _log.warning(
                "HTTP connections were closed; /metrics counts them by reason",
                open=len(self._open),
                most=self.limits.connections,
                **dict(self._closed),
            )
            self._closed.clear()
        again = bool(self._open or self._closed)
        wait_s = LOOK_EVERY_S if closed < CLOSED_AT_ONCE else NEXT_LOOK_S
        self._looking = loop.call_later(wait_s, self._look, loop) if again else None


class StrictParser(h11.Connection):
    """h11's parser of a server that also refuses requests which two parsers may read differently, and heads above a bound.

    Args:
        head_bytes: largest size of request line and headers together.

    Attributes:
        problem: the kind of problem of the request that was refused last.
        detail: what was wrong with that request.
    """

    def __init__(self, head_bytes: int) -> None:
        super().__init__(h11.SERVER, head_bytes)
        self._head_bytes = head_bytes
        self.problem = MALFORMED
        self.detail = ""

    def next_event(self) -> Any:
        """Return the next event of h11.

        Raises:
            RemoteProtocolError: the request is refused; `problem` and `detail` then say why.
        """
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._check(event)
        except h11.RemoteProtocolError as error:
            by_status = {431: HEAD_TOO_LARGE, 501: NOT_IMPLEMENTED}
            self.problem = by_status.get(error.error_status_hint, MALFORMED)
            self.detail = str(error)
            raise
        return event

    def _check(self, request: h11.Request) -> None:
        names = [name for name, _ in request.headers]
        head_bytes = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
        if len(names) > MOST_HEADERS or head_bytes > self._head_bytes:
            raise h11.RemoteProtocolError(
                f"more than {MOST_HEADERS} headers or {self._head_bytes} bytes", error_status_hint=431
            )
        if b"transfer-encoding" in names:
            if b"content-length" in names:
                raise h11.RemoteProtocolError("Content-Length and Transfer-Encoding in one request")
            if request.http_version < b"1.1":
                raise h11.RemoteProtocolError("Transfer-Encoding before HTTP/1.1")


class HttpConnection(H11Protocol):
    """One HTTP connection.

    Args:
        connections: all open connections, with their limits.
        options: what uvicorn gives to its protocol.
    """

    conn: StrictParser
    cycle: Any  # The type that uvicorn declares does not allow None, the value before the first request.

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.conn = StrictParser(connections.limits.head_bytes)
        self._connections = connections
        self._limits = connections.limits
        self._refused = False
        self._looked_at: tuple[Phase, object, int] = ("asking", None, 0)
        self._parts_read = 0
        self._asgi_app, self.app = self.app, self._answer
        self._since_s = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin as uvicorn does, and add the connection to `Connections`."""
        super().connection_made(transport)
        channel = transport.get_extra_info("socket")
        if channel is not None and channel.family in {socket.AF_INET, socket.AF_INET6}:
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End as uvicorn does, and remove the connection from `Connections`."""
        super().connection_lost(exc)
        self._connections.lost(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes as uvicorn does; ignore bytes of a client that was refused."""
        if not self._refused:
            super().data_received(data)

    def resume_writing(self) -> None:
        """Go on as uvicorn does when the client has read most of what was sent, and count that: the time for reading runs anew."""
        self._parts_read += 1
        super().resume_writing()

    def on_response_complete(self) -> None:
        """End an answer as uvicorn does, and tell `Connections`."""
        self._connections.answered(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with a problem document; uvicorn's own answer is plain text."""
        self.refuse(self.conn.problem, self.conn.detail or msg)
        self._connections.closed(self, "malformed")

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; if the answer breaks off, close the connection without its end, where uvicorn would log a traceback."""

        async def send_last(message: Any) -> None:
            if message["type"] == "http.response.start" and self._connections.is_draining():
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        try:
            await self._asgi_app(scope, receive, send_last)
        except BrokenStreamError:
            self.cycle.disconnected = True
            self.transport.close()

    @property
    def phase(self) -> Phase:
        """What the connection waits for.

        "asking": the rest of a request; "idle": the next request; "unread": the client, to read an answer; "answering": this
        server; "refused": the end of the connection.
        """
        if self._refused:
            return "refused"
        if self.unsent_bytes():
            return "unread"
        if self.transport.is_closing():
            return "answering"
        if self.conn.their_state is h11.SEND_BODY:
            return "asking"
        if self.cycle is not None and not self.cycle.response_complete:
            return "answering"
        # uvicorn's timer of idle connections runs from an answer to the next byte of the client.
        return "asking" if self.timeout_keep_alive_task is None else "idle"

    def unsent_bytes(self) -> int:
        """Return how many bytes wait for the client, who reads too slowly."""
        return self.transport.get_write_buffer_size()

    def drop(self) -> None:
        """Close the connection, which waits for nothing."""
        self.transport.close()

    def look(self, now_s: float) -> bool:
        """Close the connection if the client has used up its time; return whether it was closed. Called every `LOOK_EVERY_S`."""
        phase = self.phase
        if self._looked_at != (phase, self.cycle, self._parts_read):
            self._looked_at, self._since_s = (phase, self.cycle, self._parts_read), now_s
        waited_s = now_s - self._since_s
        if phase == "refused" and waited_s >= LINGER_S:
            self.transport.abort()
        elif phase == "unread" and waited_s >= self._limits.answer_s:
            self.transport.abort()
            self._connections.closed(self, "unread")
        elif phase == "asking" and waited_s >= self._limits.request_s:
            if self.cycle is None and self.conn.trailing_data == (b"", False):
                self.transport.close()
                self._connections.closed(self, "silent")
            else:
                self.refuse(TOO_SLOW, f"a request has to arrive within {self._limits.request_s:g} s")
                self._connections.closed(self, "slow")
        else:
            return False
        return True

    def refuse(self, problem: ProblemKind, detail: str, *, linger: bool = True) -> None:
        """Answer with `problem`, unless an answer has begun, and read nothing more from the client.

        Args:
            problem: the kind of problem.
            detail: what is wrong this time.
            linger: whether the connection stays open for `LINGER_S`; otherwise it is closed at once.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._unset_keepalive_if_required()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = problem_response(problem, detail, {"Connection": "close"})
            # h11 cannot send the answer: its state is that of a broken request.
            lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()]
            headers = [*self.server_state.default_headers, *response.raw_headers]
            lines += [name + b": " + value for name, value in headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self._refused = True
        if linger:
            if self.transport.can_write_eof():  # TLS has no end of one direction.
                self.transport.write_eof()
        else:
            self.transport.close()
