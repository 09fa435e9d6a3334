"""A server on loopback with streams of events over counts that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.web.asgi import create_asgi_app
from app.web.audiences import Audiences
from app.web.connections import Limits
from app.web.server import WebServer, bound_socket
from app.worker.metrics import Metrics
from tests.fakes.events import DEADLINE_S, Events
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries


class Served:
    """A server over counts that a test sets; `answer_s` = time in which a client has to read what is ready."""

    def __init__(self, answer_s: float = DEADLINE_S) -> None:
        self._limits = Limits(connections=10, head_bytes=20_000, answer_s=answer_s)
        self.queries, self.metrics = FakeQueries(), Metrics()
        self.most_clients = 2
        self.audiences = Audiences(self.metrics.http, lambda: self.most_clients)
        self.client = httpx.AsyncClient()

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Served]:
        """Serve until the block ends; `options` as of `create_asgi_app`."""
        listener = bound_socket("127.0.0.1", 0)
        asgi_app = create_asgi_app(
            self.queries,
            FakeHealth(),
            self.metrics.registry,
            VERSION,
            str.casefold,
            audiences=self.audiences,
            observer=self.metrics.http,
            **options,
        )
        server = WebServer(asgi_app, lambda: [listener], lambda: self._limits, self.metrics.http)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with server:
            await until(lambda: server._server.started)
            async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S) as self.client:
                yield self
            self.audiences.close()

    @asynccontextmanager
    async def stream(self, query: str, **headers: str) -> AsyncIterator[Events]:
        """Ask for a stream, and leave it when the block ends."""
        async with self.client.stream("GET", f"/v1/stream?{query}", headers=headers) as reply:
            yield Events(reply)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)
