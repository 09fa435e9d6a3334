"""HTTP connections over TLS: the limits of `app.web.connections` hold from the first byte of a handshake to the last of an answer.

uvicorn would leave TLS to the event loop, which tells nobody of a connection before its handshake has ended, and waits 30 s for a
client to confirm the end of a connection. Any number of clients that begin no handshake, or confirm nothing, could then hold file
descriptors. So a connection here is accepted without TLS, takes its place among all connections, and begins TLS by itself. The event
loop's `start_tls` would not do: uvloop reads the client's first bytes before it. No other module uses asyncio's `SSLProtocol`, which
is not documented; `tests/unit/app/web/access/test_tls.py` asks a real server on both event loops.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any

from app.web.connections import Connections, HttpConnection, Phase
from app.web.problems import ProblemKind


class TlsConnection(HttpConnection):
    """One HTTP connection over TLS.

    Args:
        context: returns the present TLS context.
        connections: all open connections, with their limits.
        options: what uvicorn gives to its protocol.
    """

    def __init__(
        self, context: Callable[[], ssl.SSLContext], connections: Connections, **options: Any
    ) -> None:
        super().__init__(connections, **options)
        self._context = context
        self._plain: Any = None
        self._shaking = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the handshake of a new connection; after the handshake, when TLS calls this method again, begin as without TLS."""
        if self._plain is not None:
            self._shaking = False
            super().connection_made(transport)
            return
        self.transport = self._plain = transport
        self.connections.add(self)
        ended = self.loop.create_future()
        ended.add_done_callback(self._handshake_ended)
        # The type that is declared for the times does not allow fractions, which the event loop takes.
        times: dict[str, Any] = {
            "ssl_handshake_timeout": self._limits.request_s,
            "ssl_shutdown_timeout": self._limits.answer_s,
        }
        tls = SSLProtocol(self.loop, self, self._context(), ended, server_side=True, **times)
        transport.set_protocol(tls)
        tls.connection_made(transport)
        self._connections.opened(self)

    @property
    def phase(self) -> Phase:
        """What the connection waits for; a connection that only waits for the client to confirm its end is "refused"."""
        if not self._shaking and self.transport.is_closing() and not self.unsent_bytes():
            return "refused"
        return super().phase

    def unsent_bytes(self) -> int:
        """Return how many bytes wait for the client, encrypted or not yet."""
        waiting = super().unsent_bytes()
        return waiting if self._shaking else waiting + int(self._plain.get_write_buffer_size())

    def look(self, now_s: float) -> bool:
        """Close the connection if the client has used up its time; a handshake has a time limit of its own."""
        return not self._shaking and super().look(now_s)

    def drop(self) -> None:
        """Close the connection at once, without TLS's farewell."""
        self._plain.abort()

    def refuse(self, problem: ProblemKind, detail: str, *, linger: bool = True) -> None:
        """Answer with `problem`; before the end of the handshake no answer can be sent."""
        if self._shaking:
            self._refused = True
            self.drop()
        else:
            super().refuse(problem, detail, linger=linger)

    def _handshake_ended(self, ended: asyncio.Future[None]) -> None:
        if not self._shaking:
            return
        # Without an error the connection was closed by this server, to make place for another one or to stop.
        error = None if ended.cancelled() else ended.exception()
        if isinstance(error, ssl.SSLError):
            self._connections.closed(self, "malformed")
        elif isinstance(error, ConnectionAbortedError):  # The handshake took too long.
            self._connections.closed(self, "silent")
        self.connection_lost(error if isinstance(error, Exception) else ConnectionResetError())
