"""Work on an answer ends when its client closes the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.web.asgi import create_asgi_app
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries


class Slow(FakeQueries):
    """Never answers; tells when it is asked, and when it is let off."""

    def watch(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def _never(self, *_: Any, **__: Any) -> Any:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()

    get = list = top = stats = _never


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/top", "/v1/words", "/v1/words/fox", "/v1/stats", "/count/fox/"),
        *("/state/keyvalue/word-count/fox", "/state/keyvalues/word-count/all"),
    ],
)
async def test_a_question_ends_with_its_clients_connection(path: str) -> None:
    queries, messages = Slow(), asyncio.Queue[dict[str, Any]]()
    queries.watch()
    asgi_app = create_asgi_app(queries, FakeHealth(), CollectorRegistry(), VERSION)
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "app": asgi_app,
    }

    async def send(_: Any) -> None:
        """Nobody reads."""

    answering = asyncio.create_task(asgi_app(scope, messages.get, send))
    messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    async with asyncio.timeout(10):
        await queries.asked.wait()
        assert not queries.left.is_set()
        messages.put_nowait({"type": "http.disconnect"})
        await queries.left.wait()
        await answering
