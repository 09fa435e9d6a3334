"""The bytes of all bodies together: what is beyond the bound is refused and not read, and what was held is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from app.reads.answers import WHOLE, Answer, Terms
from app.web.asgi import create_asgi_app
from app.web.disconnection import ClientGoneError
from app.web.problems import TooLargeError
from app.web.request_bodies import BodyBudget
from tables.errors import OverloadedError
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

JSON = {"Content-Type": "application/json"}
DEADLINE_S = 30.0


def request_of(parts: list[bytes], *, leaves: bool = False) -> Request:
    """A request whose body comes in `parts`; those that are read are taken out of the list."""

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        body = parts.pop(0)
        return {"type": "http.request", "body": body, "more_body": leaves or bool(parts)}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def holds(budget: BodyBudget, count: int) -> bool:
    """Whether a body of so many bytes has room besides those that are held."""
    try:
        async with budget.body_of(request_of([b"x" * count]), count):
            return True
    except OverloadedError:
        return False


async def test_bodies_are_held_until_their_requests_have_ended() -> None:
    budget = BodyBudget(100)
    async with budget.body_of(request_of([b"ab" * 15, b"cd" * 15]), 60) as first:
        assert first == b"ab" * 15 + b"cd" * 15
        assert await holds(budget, 40)
        assert not await holds(budget, 41)
        async with budget.body_of(request_of([b"x" * 40]), 60):
            assert not await holds(budget, 1)
        assert await holds(budget, 40)
    assert await holds(budget, 100)


async def test_a_body_beyond_the_bound_is_not_read_further_and_gives_back_what_it_had() -> None:
    budget, parts = BodyBudget(100), [b"x" * 60] * 5
    with pytest.raises(OverloadedError, match="more than 100 bytes"):
        async with budget.body_of(request_of(parts), 1000):
            pytest.fail("the body has no room")
    assert len(parts) == 3
    assert await holds(budget, 100)


async def test_whatever_ends_a_request_gives_its_bytes_back() -> None:
    budget = BodyBudget(100)
    with pytest.raises(TooLargeError, match="more than 50 bytes"):
        async with budget.body_of(request_of([b"x" * 40, b"x" * 40]), 50):
            pytest.fail("the body is too large")
    with pytest.raises(ClientGoneError):
        async with budget.body_of(request_of([b"x" * 60], leaves=True), 100):
            pytest.fail("the client has left")
    with pytest.raises(RuntimeError):
        async with budget.body_of(request_of([b"x" * 60]), 100):
            raise RuntimeError("the answer fails")
    asked, end = asyncio.Event(), asyncio.Event()

    async def request() -> None:
        async with budget.body_of(request_of([b"x" * 60]), 100):
            asked.set()
            await end.wait()

    asking = asyncio.create_task(request())
    await asked.wait()
    assert not await holds(budget, 41)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await holds(budget, 100)


class Slow(FakeQueries):
    """Counts that are told when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.told = asyncio.Event(), asyncio.Event()

    async def counts_of(self, words: Sequence[str], terms: Terms = WHOLE) -> Answer[Sequence[int]]:
        self.waiting.set()
        await self.told.wait()
        return await super().counts_of(words, terms)


async def test_a_batch_beyond_the_bound_is_a_503_that_says_when_to_ask_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.web.asgi.BodyBudget", lambda: BodyBudget(100))
    queries = Slow()
    transport = httpx.ASGITransport(create_asgi_app(queries, FakeHealth(), CollectorRegistry(), VERSION))
    body = b'{"words":["fox"]}'.ljust(60)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        first = asyncio.create_task(client.post("/v1/words:batch", content=body, headers=JSON))
        async with asyncio.timeout(DEADLINE_S):
            await queries.waiting.wait()
            refused = await client.post("/v1/words:batch", content=body, headers=JSON)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["type"].endswith(":overloaded")
        assert "ask again in a moment" in refused.json()["detail"]
        queries.told.set()
        assert (await first).status_code == 200
        assert (await client.post("/v1/words:batch", content=body, headers=JSON)).status_code == 200
