"""A receiver of webhooks that checks each signature by itself, and fails as a test wants."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import web

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Receiver:
    """A server on a free port of this machine.

    Args:
        failing: share of the requests that fail: refused, redirected, or accepted without an answer.
        seed: of the choice which.
    """

    def __init__(self, failing: float, seed: int) -> None:
        self._failing = failing
        self._chance = random.Random(seed)
        self.accepted: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """Id -> the events that came with it."""
        self.failed = 0
        self.redirected = 0
        self.hangs = False
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        app.router.add_route("*", "/elsewhere", self._elsewhere)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/hook?token=hidden"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.query["token"] == "hidden"
        assert request.content_type == "application/cloudevents+json"
        event = checked(body, request.headers)
        while self.hangs:
            await asyncio.sleep(0.01)
        if self._chance.random() >= self._failing:
            self.accepted[event["id"]].append(event)
            return web.Response(status=204)
        self.failed += 1
        match self.failed % 3:
            case 0:
                raise web.HTTPTemporaryRedirect("/elsewhere")
            case 1:
                return web.Response(status=503)
            case _:
                # Accepted, and the sender never learns it.
                self.accepted[event["id"]].append(event)
                assert request.transport is not None
                request.transport.abort()
                return web.Response()

    async def _elsewhere(self, _: web.Request) -> web.Response:
        self.redirected += 1
        return web.Response(status=204)


def checked(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the event in `body`, whose signature has to be right."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = base64.b64encode(hmac.new(key_of_secret(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{right}"
    event: dict[str, Any] = json.loads(body)
    assert event["id"] == headers["webhook-id"]
    assert event["specversion"] == "1.0"
    return event


def key_of_secret() -> bytes:
    return base64.b64decode(SECRET.removeprefix("whsec_"))
