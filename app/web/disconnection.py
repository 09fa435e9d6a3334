"""Clients that close their connection before the answer is ready: the search for the answer is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from tables.errors import QueryTimeoutError

Value = TypeVar("Value")


class ClientGoneError(QueryTimeoutError):
    """The client has closed its connection before the end of its answer, so that nobody reads what this error becomes."""


async def while_connected(request: Request, answering: Coroutine[Any, Any, Value]) -> Value:
    """Return the result of `answering`; cancel `answering` if the client closes its connection earlier.

    Raises:
        ClientGoneError: the client has closed its connection.
    """
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise ClientGoneError("the client has gone")
    finally:
        gone.cancel()
        answer.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return when the client has closed its connection. ASGI servers report that after the request's body."""
    more = True
    while more:
        message = await request.receive()
        more = message.get("more_body", False)
    if message["type"] != "http.disconnect" and (await request.receive())["type"] != "http.disconnect":
        # The server breaks the rules of ASGI. Another `receive` might return at once, each time, and block the event loop.
        await asyncio.Event().wait()
