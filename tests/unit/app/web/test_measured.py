"""Requests are reported once each, by a bounded number of routes, and with what the client got."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.web.disconnection import while_connected
from app.web.measured import GONE, NO_ROUTE, Measured
from app.web.resource import Resource
from tests.unit.app.web.served_streams import Served


class Requests:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.seconds: list[float] = []

    def http_requested(self, route: str, status: str, duration_s: float) -> None:
        self.told.append((route, status))
        self.seconds.append(duration_s)


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/v1/words/fox", "/v1/words/{word}", "200"),
        ("/v1/words/no-such-word", "/v1/words/{word}", "404"),
        ("/v1/top?k=many", "/v1/top", "422"),
        ("/livez", "/livez", "200"),
        ("/no/such/thing", NO_ROUTE, "404"),
        ("/v1/no-such-thing", NO_ROUTE, "404"),
    ],
)
async def test_metrics_show_the_route_and_not_the_path(path: str, route: str, status: str) -> None:
    async with Served().running() as served:
        await served.client.get(path)
        assert served.metric("wordcount_http_requests_total", route=route, status=status) == 1
        assert served.metric("wordcount_http_request_seconds_count", route=route) == 1


async def test_requests_of_the_wrong_method_or_host_are_counted() -> None:
    async with Served().running() as served:
        await served.client.delete("/livez")
        await served.client.get("/livez", headers={"Host": "evil.example"})
        assert served.metric("wordcount_http_requests_total", route="/livez", status="405") == 1
        assert served.metric("wordcount_http_requests_total", route=NO_ROUTE, status="421") == 1


async def test_a_stream_is_counted_when_it_begins() -> None:
    async with Served().running() as served, served.stream("word=fox"):
        assert served.metric("wordcount_http_requests_total", route="/v1/stream", status="200") == 1


async def test_a_mistake_of_the_program_is_a_500() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError

    asgi_app = Starlette(
        routes=[Resource("/fail", fail)], middleware=[Middleware(Measured, requests := Requests())]
    )
    transport = httpx.ASGITransport(asgi_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/fail")).status_code == 500
    assert requests.told == [("/fail", "500")]


async def test_a_client_that_went_away_got_nothing() -> None:
    asked = asyncio.Event()

    async def wait(request: Request) -> Response:
        asked.set()
        await while_connected(request, asyncio.sleep(3600))
        return PlainTextResponse("never")

    asgi_app = Starlette(
        routes=[Resource("/wait", wait)],
        middleware=[Middleware(Measured, requests := Requests())],
        exception_handlers={Exception: lambda *_: PlainTextResponse("given up", 504)},
    )
    sent: list[object] = []
    messages = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]

    async def receive() -> object:
        if len(messages) == 1:
            await asked.wait()
        return messages.pop(0)

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/wait", "query_string": b"", "headers": []}
    with pytest.raises(Exception, match="the client has gone"):
        await asgi_app(scope, receive, send)
    assert requests.told == [("/wait", GONE)]
    assert requests.seconds[0] < 60
