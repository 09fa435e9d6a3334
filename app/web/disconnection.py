"""A client that has gone: nobody needs its answer any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from tables.errors import QueryTimeoutError

Value = TypeVar("Value")


async def while_connected(request: Request, answering: Coroutine[Any, Any, Value]) -> Value:
    """The result of `answering`, which is cancelled where the client closes its connection before.

    Raises:
        QueryTimeoutError: it did; nobody sees this.
    """
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise QueryTimeoutError("the client has gone")
    finally:
        gone.cancel()
        answer.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return when the client has gone. Servers tell that after the end of the request's body."""
    more = True
    while more:
        message = await request.receive()
        more = message.get("more_body", False)
    if message["type"] != "http.disconnect" and (await request.receive())["type"] != "http.disconnect":
        await asyncio.Event().wait()  # Not as ASGI has it: asking on would never give others a turn.
