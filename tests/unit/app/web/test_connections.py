"""Limits of HTTP connections, on a real server on loopback, because only a real server shows how uvicorn and h11 behave."""

from __future__ import annotations

import asyncio
import json
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app.reads.answers import WHOLE, Answer, Terms
from app.web import connections
from app.web.asgi import create_asgi_app
from app.web.connections import Limits, limits_for
from app.web.server import WebServer, bound_socket
from app.worker.metrics import Metrics
from tables.top.top_words import TopWords
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

LIMITS = Limits(connections=4, head_bytes=20_000, request_s=0.3, answer_s=0.5)
ASKED = b"GET /v1/words/fox HTTP/1.1\r\nHost: localhost\r\n\r\n"
DEADLINE_S = 10.0


class SlowQueries(FakeQueries):
    """Answers `/v1/top` once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def top(self, k: int, *, exact: bool = False, terms: Terms = WHOLE) -> Answer[TopWords]:
        await self.may_answer.wait()
        return await super().top(k, exact=exact, terms=terms)


@dataclass
class Served:
    """A running server, and what it says of its connections."""

    port: int
    queries: SlowQueries
    open_now: int = 0
    most_open: int = 0
    closed: Counter[str] = field(default_factory=Counter)

    def http_connections(self, open_now: int) -> None:
        self.open_now, self.most_open = open_now, max(open_now, self.most_open)

    def http_connection_closed(self, reason: str) -> None:
        self.closed[reason] += 1

    async def connect(self, *sent: bytes) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = Client(reader, writer)
        for part in sent:
            client.writer.write(part)
            await client.writer.drain()
        await asyncio.sleep(0.02)  # until the server has seen it
        return client


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self) -> bytes:
        """All that comes until the server closes; closes too."""
        try:
            return await asyncio.wait_for(self.reader.read(-1), DEADLINE_S)
        except ConnectionResetError:
            return b""
        finally:
            self.writer.close()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one answer of known length."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        status, headers = parsed(head)
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))


def parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode().strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}


def problem(answer: bytes) -> tuple[int, str]:
    """Status and name of a problem that is the whole and last answer of a connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, headers = parsed(head)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert "server" not in headers
    assert len(body) == int(headers["content-length"])
    content = json.loads(body)
    assert content["status"] == status
    assert content["detail"]
    return status, content["type"].removeprefix("urn:problem-type:wordcount:")


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(connections, "LINGER_S", 0.2)
    queries = SlowQueries()
    listener = bound_socket("127.0.0.1", 0)
    served = Served(listener.getsockname()[1], queries)
    asgi_app = create_asgi_app(queries, FakeHealth(), CollectorRegistry(), VERSION)
    server = WebServer(asgi_app, lambda: [listener], lambda: LIMITS, served)
    async with server:
        while not server._server.started:
            await asyncio.sleep(0.01)
        yield served
        queries.may_answer.set()


async def test_a_connection_that_asks_nothing_is_closed(served):
    client = await served.connect()
    started_s = asyncio.get_running_loop().time()
    assert await client.rest() == b""
    assert 0.2 < asyncio.get_running_loop().time() - started_s < 2
    assert served.closed == {"silent": 1}


async def trickle(client: Client, line: bytes) -> None:
    with suppress(ConnectionError):
        while True:
            client.writer.write(line)
            await client.writer.drain()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /v1/words/fox HTTP/1.1\r\n",
        b"POST /v1/top HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
        b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
        ASKED + b"GET /v1/words/fox HTTP/1.1\r\n",
    ],
    ids=["head", "body", "body while the answer is awaited", "later head"],
)
async def test_a_request_that_never_ends_is_closed_however_steadily_it_comes(served, begun):
    client = await served.connect(begun)
    trickling = asyncio.create_task(trickle(client, b"X: y\r\n"))
    try:
        await client.rest()
    finally:
        trickling.cancel()
    assert served.closed == {"slow": 1}


async def test_a_request_that_is_late_is_told_so(served):
    client = await served.connect(b"GET /v1/words/fox HTTP/1.1\r\nHost: ")
    assert problem(await client.rest()) == (408, "too-slow")


async def test_an_answer_that_takes_longer_than_a_request_may_is_waited_for(served):
    client = await served.connect(b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.sleep(2 * LIMITS.request_s)
    served.queries.may_answer.set()
    assert (await client.answer())[0] == 200
    assert served.closed == {}


async def test_an_answer_that_nobody_reads_is_given_up(served):
    served.queries.counts = {f"{number:06}" + "x" * 16_000: 1 for number in range(1000)}
    client = await served.connect(b"GET /v1/words?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while served.open_now:
        await asyncio.sleep(0.05)
    assert served.closed == {"unread": 1}
    client.writer.close()


async def test_the_oldest_silent_connection_makes_place_for_a_new_one(served):
    kept = await served.connect(ASKED)
    assert (await kept.answer())[0] == 200
    silent = [await served.connect() for _ in range(3)]
    new = await served.connect(ASKED)
    assert (await new.answer())[0] == 200
    assert await silent[0].rest() == b""
    assert served.closed == {"shed": 1}
    kept.writer.write(ASKED)
    assert (await kept.answer())[0] == 200


async def test_the_connection_idle_for_longest_makes_place_where_none_is_silent(served):
    idle = [await served.connect(ASKED) for _ in range(4)]
    for client in idle:
        await client.answer()
    idle[0].writer.write(ASKED)
    await idle[0].answer()
    idle[1].writer.write(ASKED[:20])
    new = await served.connect(ASKED)
    assert (await new.answer())[0] == 200
    assert await idle[2].rest() == b""
    idle[1].writer.write(ASKED[20:])
    assert (await idle[1].answer())[0] == 200
    idle[0].writer.write(ASKED)
    assert (await idle[0].answer())[0] == 200


async def test_where_all_connections_are_at_work_a_new_one_is_refused(served):
    working = [await served.connect(b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(4)]
    refused = await served.connect()
    answer = await refused.rest()
    assert problem(answer) == (503, "too-many-connections")
    assert b"retry-after: 1" in answer
    served.queries.may_answer.set()
    for client in working:
        assert (await client.answer())[0] == 200
    assert served.closed == {"refused": 1}


async def test_hundreds_of_silent_connections_never_hold_more_than_the_limit(served):
    crowd = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(200)]
    client = await served.connect(ASKED)
    assert (await client.answer())[0] == 200
    assert served.most_open <= LIMITS.connections
    assert served.closed["shed"] >= 190
    for _, writer in crowd:
        writer.close()


async def test_closed_connections_are_told_in_one_line_with_their_reasons(served):
    with capture_logs() as lines:
        for _ in range(3):
            await (await served.connect()).rest()
            await (await served.connect(b"nonsense\r\n\r\n")).rest()
        await asyncio.sleep(0.1)
    (line,) = lines
    assert (line["log_level"], line["most"]) == ("warning", 4)
    assert {"silent", "malformed"} & line.keys()


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"nonsense\r\n\r\n", (400, "malformed")),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400, "malformed")),
        (b"GET / HTTP/1.1\r\n\r\n", (400, "malformed")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400, "malformed")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000, (431, "head-too-large")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 30_000 + b"\r\n\r\n", (431, "head-too-large")),
        (b"GET /" + b"x" * 30_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", (431, "head-too-large")),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n", (431, "head-too-large")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", (501, "not-implemented")),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            (400, "malformed"),
        ),
        (
            b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            (400, "malformed"),
        ),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, "malformed")),
    ],
)
async def test_a_request_that_is_not_http_is_answered_with_a_problem_and_closed(
    served, request_bytes, expected
):
    another = ASKED if request_bytes.endswith(b"\r\n") else b""
    client = await served.connect(request_bytes + another)
    assert problem(await client.rest()) == expected
    assert served.closed == {"malformed": 1}


async def test_a_refusal_is_read_even_where_the_client_goes_on_sending(served):
    client = await served.connect(b"nonsense\r\n\r\n", *[b"x" * 10_000] * 20)
    assert problem(await client.rest()) == (400, "malformed")
    assert served.closed == {"malformed": 1}


async def test_a_refused_client_that_does_not_close_is_closed(served):
    client = await served.connect(b"nonsense\r\n\r\n")
    assert await asyncio.wait_for(client.reader.read(-1), DEADLINE_S)
    while served.open_now:
        await asyncio.sleep(0.02)
    client.writer.close()


async def test_a_broken_body_after_the_answer_ends_the_connection_without_a_second_one(served, caplog):
    client = await served.connect(
        b"POST /v1/top HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert (await client.answer())[0] == 405
    client.writer.write(b"no chunk\r\n")
    assert await client.rest() == b""
    assert caplog.records == []


async def test_a_broken_body_before_the_answer_is_answered_once(served, caplog):
    client = await served.connect(
        b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    client.writer.write(b"no chunk\r\n")
    assert (await client.answer())[0] == 400
    served.queries.may_answer.set()
    await asyncio.sleep(0.05)
    assert await client.rest() == b""
    assert caplog.records == []


async def test_a_head_within_the_limit_is_taken_in_whatever_pieces_it_comes(served):
    whole = b"GET /v1/words/" + b"x" * 18_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    client = await served.connect(*[whole[at : at + 3_000] for at in range(0, len(whole), 3_000)])
    assert (await client.answer())[0] == 404


async def test_no_answer_names_the_server(served):
    _, headers, _ = await (await served.connect(ASKED)).answer()
    assert "server" not in headers
    assert "date" in headers


async def test_many_requests_on_one_connection_are_within_no_limit_of_time(served):
    client = await served.connect()
    for _ in range(10):
        client.writer.write(ASKED)
        assert (await client.answer())[0] == 200
        await asyncio.sleep(0.05)
    assert served.closed == {}


def test_the_limit_leaves_most_descriptors_to_the_rest(monkeypatch):
    def limit_with(soft: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, resource.RLIM_INFINITY))
        return limits_for(16).connections

    assert limit_with(1024) == 256
    assert limit_with(1_000_000) == 2000
    assert limit_with(resource.RLIM_INFINITY) == 2000


def test_a_word_of_the_largest_size_fits_into_a_head():
    assert limits_for(65_536).head_bytes > 3 * 65_536 + 1_000


def test_metrics_show_connections_and_why_they_were_closed():
    metrics = Metrics()
    metrics.http.http_connections(3)
    metrics.http.http_connection_closed("slow")
    value = metrics.registry.get_sample_value
    assert value("wordcount_http_connections") == 3
    assert value("wordcount_http_connections_closed_total", {"reason": "slow"}) == 1
