"""The HTTP server: uvicorn on the worker's event loop, on a socket that was bound before any other part of the worker started."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from faust.contrib.asgi import AsgiService

from app.machine.sockets import bound_to
from app.web.access.tls_connection import TlsConnection
from app.web.connections import ConnectionObserver, Connections, HttpConnection, Limits
from tables.errors import ConfigurationError

_log = structlog.get_logger(__name__)

SHUTDOWN_S = 2.0
"""How long open requests may go on when the server stops."""

HSTS = "max-age=604800"
"""A browser that has asked over TLS asks this host only over TLS, at every port, for a week after its last request.

A longer time would keep browsers away long after TLS was switched off again.
"""


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port` (0 = any free port).

    Raises:
        ConfigurationError: the system refuses the address; the remedy names the settings.
    """
    try:
        return bound_to(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"HTTP cannot listen on {host} port {port} ({error.strerror or error})",
            "set WORDCOUNT_HTTP_HOST and WORDCOUNT_HTTP_PORT to an address of this machine and a free port",
        ) from error


class WebServer(AsgiService):
    """Faust's service that serves an ASGI application.

    Args:
        asgi_app: the application.
        listeners: returns the sockets from `bound_socket`; called when the server starts, because sockets are bound after the server
            is built.
        limits: returns the bounds for clients; called when the server starts, because the limit of file descriptors may be raised
            until then.
        observer: reports connections.
        tls: returns the present TLS context; None = HTTP without TLS.
        is_draining: returns whether each answer closes its connection, because the process is about to end.
    """

    server_shutdown_timeout = SHUTDOWN_S

    def __init__(
        self,
        asgi_app: Any,
        listeners: Callable[[], Sequence[socket.socket]],
        limits: Callable[[], Limits],
        observer: ConnectionObserver,
        tls: Callable[[], ssl.SSLContext] | None = None,
        *,
        is_draining: Callable[[], bool] = bool,
        **options: Any,
    ) -> None:
        super().__init__(asgi_app, host="", port=0, **options)
        self._listeners = listeners
        self._limits = limits
        self._observer = observer
        self._tls = tls
        self._is_draining = is_draining

    async def on_start(self) -> None:
        """Start uvicorn as Faust does, but on the sockets of `listeners` and with the bounds of `limits`."""
        connections = Connections(self._limits(), self._observer, self._is_draining)
        # uvicorn imports a protocol that is given by name when the server starts, which would block the event loop for 45 ms, most of
        # the time for web sockets.
        self.uvicorn_options = {
            "access_log": False,
            # uvicorn warns of each mistake of a client, without a bound; `Connections` counts such mistakes instead.
            "log_level": "error",
            "server_header": False,
            "timeout_graceful_shutdown": int(SHUTDOWN_S),
            "http": partial(HttpConnection, connections)
            if self._tls is None
            else partial(TlsConnection, self._tls, connections),
            "headers": [] if self._tls is None else [("Strict-Transport-Security", HSTS)],
            # Anybody can send X-Forwarded-For, and uvicorn would believe it where it comes from this machine.
            "proxy_headers": False,
            "ws": "none",
            # The application has nothing to start or stop, and uvicorn logs a traceback if Faust cancels a lifespan.
            "lifespan": "off",
        }
        self._server = self._create_server()
        listeners = self._listeners()
        self._serve_fut = self.add_future(self._server.serve(sockets=list(listeners)))
        scheme = "http" if self._tls is None else "https"
        for listener in listeners:
            host, port = listener.getsockname()[:2]
            _log.info("HTTP listens", address=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/")

    @property
    def label(self) -> str:
        """Name of this service in logs."""
        return "WebServer"
