"""`/v1/watches`: what the worker says that sends, or why nobody does."""

from __future__ import annotations

import httpx
from prometheus_client import CollectorRegistry

from app.web.asgi import create_asgi_app
from tables.errors import NotReadyError
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries


async def test_watches_are_told_with_their_crossings(client):
    reply = await client.get("/v1/watches")
    body = reply.json()
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
    assert (body["owner"], body["here"], body["as_of"]) == ("http://10.0.0.1:8080", True, {"2": 123, "10": 7})
    (watch,) = body["watches"]
    assert (watch["name"], watch["receiver"], watch["waiting"]) == ("alarms", "https://hooks.example", 0)
    assert watch["last_failure"]["reason"] == "the receiver answers 503"
    (crossing,) = body["crossings"]
    assert (crossing["word"], crossing["window"]["size"]) == ("alarm\x00\u202e", "1m")


async def test_a_worker_that_does_not_answer_is_a_problem_that_passes(client, watch_states):
    watch_states.error = NotReadyError("the worker that sends the watches does not answer")
    reply = await client.get("/v1/watches")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["type"].endswith(":not-ready")


async def test_a_process_without_watches_says_whom_to_ask():
    asgi_app = create_asgi_app(FakeQueries(), FakeHealth(), CollectorRegistry(), VERSION)
    transport = httpx.ASGITransport(asgi_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as alone:
        for path in ("/v1/watches", "/v1/stream?watches"):
            reply = await alone.get(path)
            assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (404, "no-watches")
            assert "WORDCOUNT_WATCHES" in reply.json()["detail"]
