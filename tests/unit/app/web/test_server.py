"""The server of HTTP inside a worker."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest

from app.web.connections import Limits
from app.web.server import WebServer


class _Nobody:
    """An observer of connections that keeps nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


async def _application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Wait for what comes, as an application does that supports the lifespan protocol."""
    await receive()


async def test_a_server_that_is_cancelled_while_it_starts_logs_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = WebServer(
        _application, lambda: [listener], lambda: Limits(connections=10, head_bytes=65_536), _Nobody()
    )
    with caplog.at_level(logging.INFO):
        await server.on_start()
        while not server._server.started:
            await asyncio.sleep(0.01)
        server._serve_fut.cancel()
        await asyncio.gather(server._serve_fut, return_exceptions=True)
        await asyncio.sleep(0.1)
    listener.close()
    assert "Traceback" not in caplog.text
    assert server._server.lifespan.__class__.__name__ == "LifespanOff"
