"""Compression of answers by gzip, for clients that accept it: Starlette's middleware, with `gzip;q=0` understood."""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from app.reads.peers import MEDIA_TYPE

LEAST_BYTES = 1024
"""Smaller answers are sent as they are: they fit into a packet or two, whatever is saved."""

LEVEL = 1
"""The cheapest level: words compress to a quarter at any level, and the event loop has more to do than that."""

THREAD_BYTES = 65_536
"""Parts of this size are compressed in a thread: a smaller part costs the event loop less than a millisecond."""


class Compression(GZipMiddleware):
    """An ASGI application that passes requests on to another one, and compresses its answers.

    Starlette flushes each part of a stream, and says `Vary`. It does not change entity tags, so tags are given outside of this class,
    to the bytes that are sent.
    """

    def __init__(self, asgi_app: Any) -> None:
        # Workers of a deployment are near each other: to pack and unpack what they tell each other costs more time than it saves.
        excluded = (*DEFAULT_EXCLUDED_CONTENT_TYPES, MEDIA_TYPE)
        super().__init__(asgi_app, LEAST_BYTES, LEVEL, THREAD_BYTES, exclude_content_types=excluded)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one request on, and compress its answer if the client accepts that. Starlette overlooks that `q=0` refuses a coding."""
        if scope["type"] == "http" and _refuses_gzip(Headers(scope=scope).get("accept-encoding", "")):
            headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope = {**scope, "headers": headers}
        await super().__call__(scope, receive, send)


def _refuses_gzip(accept_encoding: str) -> bool:
    return re.search(r"\bgzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)", accept_encoding.lower()) is not None
