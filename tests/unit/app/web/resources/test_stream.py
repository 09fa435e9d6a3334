"""`/v1/stream`: which questions it takes, and what a client of a real server receives."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator

import pytest

from app.web import connections
from app.web.access.options import Access
from app.web.access.tokens import Client, Tokens
from app.web.resources.stream import MOST_WATCHED_WORDS
from app.web.stream_client import RETRY_MS
from tables.errors import BrokerUnavailableError
from tests.fakes.events import Event
from tests.fakes.watches import FakeWatchStates
from tests.unit.app.web.served_streams import Served, until

QUICK = "interval_ms=250"
PLAIN = [
    ("top=2", "/v1/top?k=2"),
    ("prefix=o&limit=1", "/v1/words?prefix=o&limit=1"),
    ("prefix=", "/v1/words"),
    ("window=1m&top=2", "/v1/windows/1m/top?k=2"),
    ("window=1m", "/v1/windows/1m/top"),
    ("trending", "/v1/trending"),
    ("trending=true&window=1m&top=1", "/v1/trending?size=1m&k=1"),
    ("top=2&trending=false&watches=false", "/v1/top?k=2"),
    ("watches", "/v1/watches"),
    ("watches=true", "/v1/watches"),
]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with Served().running(watch_states=FakeWatchStates()) as running:
        yield running


@pytest.mark.parametrize(("query", "path"), PLAIN)
async def test_the_snapshot_is_the_answer_of_the_plain_resource(served, query, path):
    async with served.stream(query) as events:
        event = await events.next()
        assert (event.kind, event.id) == ("snapshot", "2:123,10:7")
        assert all(terms.is_patient for terms in served.queries.asked)
        assert served.queries.asked or query.startswith("watches")
        assert event.data == (await served.client.get(path)).json()


async def test_the_counts_of_words_are_in_the_order_of_the_question(served):
    asked = ["The", "wolf", "fox", "the"]
    async with served.stream("&".join(f"word={word}" for word in asked)) as events:
        found = (await events.next()).data
    assert found == (await served.client.post("/v1/words:batch", json={"words": asked})).json()


async def test_a_change_comes_when_positions_move_and_in_time_although_the_client_takes_gzip(served):
    served.queries.counts = {f"word{number}": 1 for number in range(200)}
    async with served.stream(f"top=200&{QUICK}", **{"Accept-Encoding": "gzip"}) as events:
        assert (await events.next()).kind == "snapshot"
        headers = events.reply.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert not {"etag", "content-encoding", "content-length", "connection"} & headers.keys()
        served.queries.counts["word0"], served.queries.as_of = 2, {2: 124, 10: 7}
        event = await events.next()
        assert (event.kind, event.id, event.data["words"][0]["count"]) == ("change", "2:124,10:7", 2)


async def test_terms_are_those_of_the_question(served):
    served.queries.complete, served.queries.missing = False, [3]
    async with served.stream(f"top=1&{QUICK}&allow_partial=true&max_lag_records=7") as events:
        assert (await events.next()).data["missing_partitions"] == [3]
    terms = served.queries.asked[-1]
    assert (terms.allow_partial, terms.max_lag_records, terms.after) == (True, 7, {})


async def test_while_there_is_no_answer_the_client_is_told_and_the_stream_goes_on(served):
    served.queries.error = BrokerUnavailableError("no broker answers", "wait")
    async with served.stream(f"top=1&{QUICK}") as events:
        event = await events.next()
        assert (event.kind, event.id) == ("unavailable", None)
        assert event.data["type"] == "urn:problem-type:wordcount:broker-unavailable"
        served.queries.error = None
        assert (await events.next()).kind == "snapshot"
    for kind in ("unavailable", "snapshot"):
        assert served.metric("wordcount_stream_events_total", event=kind) == 1


async def test_a_client_that_comes_back_gets_nothing_older_than_its_last_event(served):
    async def first_event() -> Event | None:
        async with served.stream("top=1", **{"Last-Event-ID": "2:125,10:7"}) as events:
            return await events.next()

    reading = asyncio.create_task(first_event())
    await until(lambda: len(served.queries.asked) >= 2)
    assert not reading.done()
    served.queries.as_of = {2: 125, 10: 8}
    event = await reading
    assert (event.kind, event.id) == ("snapshot", "2:125,10:8")


async def test_clients_ask_once_and_leave_when_their_connection_ends(served):
    async with served.stream("top=1") as first, served.stream("top=1") as second:
        for events in (first, second):
            assert (await events.next()).kind == "snapshot"
        assert (served.audiences.questions, served.metric("wordcount_stream_clients")) == (1, 2)
        reply = await served.client.get("/v1/stream?top=1")
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert reply.json()["type"] == "urn:problem-type:wordcount:too-many-streams"
        assert "2 clients" in reply.json()["detail"]
    await until(lambda: served.metric("wordcount_stream_clients") == 0)
    assert served.audiences.questions == 0


async def test_a_client_that_reads_nothing_is_no_client_any_more(monkeypatch):
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.02)
    served = Served(answer_s=0.3)
    served.queries.counts = {f"{number}{'x' * 5_000}": 1 for number in range(1_000)}
    async with served.running():
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            reader.setblocking(False)
            loop, url = asyncio.get_running_loop(), served.client.base_url
            await loop.sock_connect(reader, (url.host, url.port))
            await loop.sock_sendall(reader, b"GET /v1/stream?top=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: served.metric("wordcount_stream_clients") == 1)
            await until(lambda: served.metric("wordcount_stream_clients") == 0)
    assert served.metric("wordcount_http_connections_closed_total", reason="unread") == 1


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "there is no question"),
        ("interval_ms=1000", 400, "there is no question"),
        ("trending=false", 400, "there is no question"),
        ("limit=3", 400, '"limit" is no question'),
        ("word=fox&top=3", 400, '"top" and "word" are given together'),
        ("word=fox&prefix=f", 400, '"prefix" and "word" are given together'),
        ("top=3&limit=3", 400, '"top" and "limit" are given together'),
        ("trending&prefix=", 400, '"trending" and "prefix" are given together'),
        ("top=3&after=2:1", 400, 'unknown query parameter "after" (known here: word'),
        ("top=3&top=4", 400, "given twice"),
        ("top=0", 422, '"top" is "0"'),
        ("prefix=&limit=1001", 422, '"limit" is "1001"'),
        ("window=1x", 422, '"window" is "1x"'),
        ("trending=yes", 422, '"trending" is "yes"'),
        ("top=1&interval_ms=99", 422, "from 100 to 60000"),
        ("top=1&interval_ms=60001", 422, "from 100 to 60000"),
        ("top=1&max_lag_records=-1", 422, "max_lag_records"),
        ("&".join(["word=a"] * (MOST_WATCHED_WORDS + 1)), 422, '"word" is given 101 times'),
        ("window=30s", 404, "no windows of 30s are counted"),
    ],
)
async def test_what_cannot_be_watched_is_a_problem_before_the_stream_begins(client, query, status, said):
    reply = await client.get(f"/v1/stream?{query}")
    assert reply.status_code == status
    assert said in reply.json()["detail"].replace("; known", " (known"), reply.json()["detail"]


@pytest.mark.parametrize(
    ("last_id", "status"), [("x", 422), ("2:1,2:2", 422), ("2:123,10:7,11:1", 400), ("2:" + "9" * 19, 422)]
)
async def test_an_id_that_is_of_no_event_is_a_problem(client, last_id, status, monkeypatch):
    monkeypatch.setattr("app.web.stream_client.PATIENCE_S", 0.02)
    reply = await client.get("/v1/stream?top=1", headers={"Last-Event-ID": last_id})
    assert reply.status_code == status
    assert '"Last-Event-ID"' in reply.json()["detail"]


async def test_an_unexpected_error_is_a_problem_before_the_stream_begins(client, queries):
    queries.error = ZeroDivisionError()
    assert (await client.get("/v1/stream?top=1")).status_code == 500


async def test_head_has_the_headers_and_is_no_client(served):
    async with served.stream("top=1") as events:
        await events.next()
        got = dict(events.reply.headers)
    await until(lambda: served.metric("wordcount_stream_clients") == 0)
    head = await served.client.head("/v1/stream?top=1")
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in got if name != "date"} == {
        name: value for name, value in got.items() if name != "date"
    }
    assert served.metric("wordcount_stream_clients") == 0
    assert (await served.client.head("/v1/stream")).status_code == 400


async def test_streams_end_at_once_when_the_process_stops():
    served = Served()
    async with served.running():
        async with served.stream("top=1&interval_ms=60000") as first, served.stream("word=a") as second:
            for events in (first, second):
                assert (await events.next()).kind == "snapshot"
            stopped_s = asyncio.get_running_loop().time()
            served.audiences.close()
            for events in (first, second):
                assert (await events.next()).lines == [f"retry: {RETRY_MS}"]
                assert await events.next() is None
        async with served.stream("top=1") as late:
            assert (await late.next()).lines == [f"retry: {RETRY_MS}"]
            assert await late.next() is None
        assert asyncio.get_running_loop().time() - stopped_s < 1
    assert served.metric("wordcount_stream_clients") == 0


async def test_a_stream_needs_a_token_that_may_read_and_is_one_request_for_the_rate_limit():
    entries = [
        (hashlib.sha256(scope.encode()).digest(), Client(scope, frozenset({scope})))
        for scope in ("read", "ingest")
    ]
    access = Access(lambda: Tokens(entries), requests_per_s=1)
    async with Served().running(access=access) as served:
        for token, status in (("none", 401), ("ingest", 403)):
            reply = await served.client.get("/v1/stream?top=1", headers={"Authorization": f"Bearer {token}"})
            assert reply.status_code == status
        reader = {"Authorization": "Bearer read"}
        async with served.stream(f"top=1&{QUICK}", **reader) as events:
            for position in range(124, 128):
                assert (await events.next()).id == f"2:{position - 1},10:7"
                served.queries.as_of = {2: position, 10: 7}
            assert (await served.client.get("/v1/top", headers=reader)).status_code == 200
