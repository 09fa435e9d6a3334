"""Long answers and large questions on a real server on loopback: readers that are slow, stop or leave, and answers that break off."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from app.reads.answers import WHOLE, Answer, IncompleteError, Terms, WordPage
from app.web import connections
from app.web.asgi import create_asgi_app
from app.web.connections import Limits
from app.web.server import WebServer, bound_socket
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

LIMITS = Limits(connections=4, head_bytes=20_000, request_s=2.0, answer_s=0.5)
DEADLINE_S = 30.0
PAGES = 400
"""Pages of about 3 MiB in all, more than the buffers of two sockets hold."""


class Endless(FakeQueries):
    """Pages of made-up words."""

    def __init__(self) -> None:
        super().__init__()
        self.pages, self.most, self.fails_at = 0, PAGES, 0

    async def list(
        self, prefix: str, after: str | None, limit: int, terms: Terms = WHOLE
    ) -> Answer[WordPage]:
        self.pages += 1
        if self.pages == self.fails_at:
            raise IncompleteError({2: "its worker does not answer"})
        words = [(f"{self.pages:06}-{number:04}" + "x" * 20, 1) for number in range(limit)]
        return self._answer(WordPage(words, self.pages < self.most), terms)


class Served:
    """A running server, and what it says of its connections."""

    def __init__(self, port: int, queries: Endless) -> None:
        self.port, self.queries = port, queries
        self.url = f"http://127.0.0.1:{port}"
        self.open_now = 0
        self.closed: Counter[str] = Counter()

    def http_connections(self, open_now: int) -> None:
        self.open_now = open_now

    def http_connection_closed(self, reason: str) -> None:
        self.closed[reason] += 1

    async def ask(self, accept: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=4096)
        writer.write(f"GET /v1/words HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
        return reader, writer


async def until(condition) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def assert_nothing_is_asked(served: Served) -> None:
    """The connection ends, and with it the questions; a page may be under way in the moment of the end."""
    await until(lambda: not served.open_now)
    async with httpx.AsyncClient(base_url=served.url) as client:
        await client.get("/livez")
        at_the_end = served.queries.pages
        await client.get("/livez")
    assert served.queries.pages == at_the_end


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.02)
    queries = Endless()
    listener = bound_socket("127.0.0.1", 0)
    served = Served(listener.getsockname()[1], queries)
    asgi_app = create_asgi_app(queries, FakeHealth(), CollectorRegistry(), VERSION)
    server = WebServer(asgi_app, lambda: [listener], lambda: LIMITS, served)
    async with server:
        await until(lambda: server._server.started)
        yield served


async def test_a_reader_that_stops_is_asked_no_further_page_for_and_is_closed(served):
    _, writer = await served.ask("text/csv")
    await until(lambda: served.closed["unread"])
    assert 0 < served.queries.pages < PAGES
    await assert_nothing_is_asked(served)
    writer.close()


@pytest.mark.slow
async def test_a_reader_that_reads_slowly_and_steadily_gets_all(served):
    reader, writer = await served.ask("application/x-ndjson")
    loop = asyncio.get_running_loop()
    started_s, content = loop.time(), bytearray()
    async with asyncio.timeout(DEADLINE_S):
        while not content.endswith(b"0\r\n\r\n"):
            part = await reader.read(65_536)
            assert part, "the answer breaks off"
            content += part
            if loop.time() - started_s < 4 * LIMITS.answer_s:
                await asyncio.sleep(0.02)
    assert loop.time() - started_s > 2 * LIMITS.answer_s
    assert content.count(b'"word"') == 1000 * PAGES
    assert served.closed == {}
    writer.close()


async def test_a_reader_that_leaves_ends_the_pages(served):
    served.queries.most = 10**9
    reader, writer = await served.ask("text/csv")
    await reader.read(100_000)
    writer.transport.abort()
    await assert_nothing_is_asked(served)


@pytest.mark.parametrize("path", ["/v1/words", "/state/keyvalues/word-count/all"])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
async def test_an_answer_that_breaks_off_is_an_error_for_clients_and_no_traceback(
    served, caplog, path, coding, accept
):
    served.queries.fails_at = 3
    content = bytearray()
    async with httpx.AsyncClient(base_url=served.url) as client:
        async with client.stream("GET", path, headers={"Accept": accept, "Accept-Encoding": coding}) as reply:
            assert reply.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                async for part in reply.aiter_bytes():
                    content += part
        assert (await client.get("/livez")).status_code == 200
    assert content.count(b"000002-0999") == 1
    if path == "/v1/words" and accept == "application/x-ndjson":
        assert b"its worker does not answer" in content.splitlines()[-1]
    assert caplog.records == []


async def test_without_chunks_nothing_is_sent_that_could_break_off_unseen(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /v1/words HTTP/1.0\r\nHost: localhost\r\nAccept: text/csv\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(-1), DEADLINE_S)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"page by page with limit" in answer
    writer.close()


async def test_a_large_question_is_taken_in_and_one_that_is_too_large_is_told_so(served):
    async with httpx.AsyncClient(base_url=served.url) as client:
        words = [f"{number:05}" + "x" * 90 for number in range(10_000)]
        reply = await client.post("/v1/words:batch", json={"words": words})
        assert (reply.status_code, len(reply.json()["words"])) == (200, 10_000)
        reply = await client.post("/v1/words:batch", json={"words": ["x" * 3_000_000]})
        assert reply.status_code == 413
        assert (await client.get("/livez")).status_code == 200


async def test_a_client_that_asks_first_whether_it_may_send_is_told_so(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    body = b'{"words":["fox"]}'
    head = b"POST /v1/words:batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    assert told.startswith(b"HTTP/1.1 100")
    writer.write(body)
    assert (await asyncio.wait_for(reader.readline(), DEADLINE_S)).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.slow
async def test_a_question_that_does_not_end_is_closed(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = b"POST /v1/words:batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Content-Length: 100\r\n\r\n{")
    assert (await asyncio.wait_for(reader.read(-1), DEADLINE_S)).startswith(b"HTTP/1.1 408 ")
    assert served.closed == {"slow": 1}
    writer.close()
