"""Answers of any length, sent part by part in constant memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from app.web.disconnection import ClientGoneError, while_connected


class BrokenStreamError(Exception):
    """An answer that has begun cannot be ended: the server closes the connection, so that the client sees the answer break off."""


class Stream(StreamingResponse):
    """A response that asks `parts` for the next part when the client has read enough of the former ones, and ends with the client.

    Args:
        parts: the body. It raises `BrokenStreamError` if the body cannot be ended.
        headers: all headers, with `Content-Type`.
    """

    def __init__(self, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        super().__init__(parts, headers=headers)
        self._parts = parts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send head and parts; for `HEAD` the head only."""
        async with aclosing(self._parts):
            if scope["method"] == "HEAD":
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                # As for GET the body comes in parts: so a compression announces itself.
                for more_body in (True, False):
                    await send({"type": "http.response.body", "body": b"", "more_body": more_body})
                return
            with suppress(ClientGoneError):
                await while_connected(Request(scope, receive), self.stream_response(send))
