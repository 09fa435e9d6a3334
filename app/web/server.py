"""uvicorn inside the worker: on the worker's loop, on a socket that was bound before anything else started."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from faust.contrib.asgi import AsgiService

from app.machine.sockets import bound_to
from app.web.connections import ConnectionObserver, Connections, HttpConnection, Limits
from tables.errors import ConfigurationError

_log = structlog.get_logger(__name__)

SHUTDOWN_S = 2.0
"""Time for open requests to end when the server stops."""


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` and `port` (0 = any free one).

    Raises:
        ConfigurationError: names the settings.
    """
    try:
        return bound_to(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"HTTP cannot listen on {host} port {port} ({error.strerror or error})",
            "set WORDCOUNT_HTTP_HOST and WORDCOUNT_HTTP_PORT to an address of this machine and a free port",
        ) from error


class WebServer(AsgiService):
    """Serves an ASGI application.

    Args:
        asgi_app: the application.
        listeners: gives the sockets from `bound_socket`; asked when the server starts, because they are bound after it is made.
        limits: asked when the server starts, because the limit of descriptors may be raised until then.
        observer: is told of connections.
    """

    server_shutdown_timeout = SHUTDOWN_S

    def __init__(
        self,
        asgi_app: Any,
        listeners: Callable[[], Sequence[socket.socket]],
        limits: Callable[[], Limits],
        observer: ConnectionObserver,
        **options: Any,
    ) -> None:
        super().__init__(asgi_app, host="", port=0, **options)
        self._listeners = listeners
        self._limits = limits
        self._observer = observer

    async def on_start(self) -> None:
        """Faust's, with our sockets and our bounds."""
        connections = Connections(self._limits(), self._observer)
        # Protocols by name are imported when the server starts: 45 ms on the event loop, most of them for web sockets.
        self.uvicorn_options = {
            "access_log": False,
            # A warning is what a client did wrong, as often as it likes; `Connections` counts these.
            "log_level": "error",
            "server_header": False,
            "timeout_graceful_shutdown": int(SHUTDOWN_S),
            "http": partial(HttpConnection, connections),
            "ws": "none",
        }
        self._server = self._create_server()
        listeners = self._listeners()
        self._serve_fut = self.add_future(self._server.serve(sockets=list(listeners)))
        for listener in listeners:
            host, port = listener.getsockname()[:2]
            _log.info("HTTP listens", address=f"http://{f'[{host}]' if ':' in host else host}:{port}/")

    @property
    def label(self) -> str:
        """Name in logs."""
        return "WebServer"
