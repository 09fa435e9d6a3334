"""Entity tags: an answer that is the same as the one a client keeps is a 304 without a body."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

from app.web.responses import REVALIDATED

_NOT_IN_304 = ("content-length", "content-type", "content-encoding")


class EntityTags:
    """An ASGI application that passes requests on to another one, and gives each answer with `REVALIDATED` a strong tag.

    The tag is a hash of the bytes that are sent, of their media type and coding, and of headers with freshness: the same tag means the
    same bytes. Positions alone would be no strong tag, because an answer also says who answered and how far followers were behind.
    The answer is computed before it is compared: only the partitions know whether they have moved.
    """

    def __init__(self, asgi_app: Any) -> None:
        self._asgi_app = asgi_app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one request on, and give its answer a tag."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self._asgi_app(scope, receive, send)
            return
        held: list[Any] = []

        async def send_tagged(message: Any) -> None:
            if message["type"] == "http.response.start" and _may_be_kept(message):
                held.append(message)
                return
            if held:
                start, wanted = held.pop(), Headers(scope=scope).get("if-none-match", "")
                message = _tagged(start, message, wanted)
                await send(start)
            await send(message)

        await self._asgi_app(scope, receive, send_tagged)


def _may_be_kept(start: Any) -> bool:
    cache_control = Headers(raw=start["headers"]).get("cache-control")
    return start["status"] == 200 and cache_control == REVALIDATED["Cache-Control"]


def _tagged(start: Any, body: Any, wanted: str) -> Any:
    """Put the tag of a whole answer into `start`; return the body to send, which is empty if the client has the same already."""
    headers = MutableHeaders(raw=start["headers"])
    # A small answer is not compressed, whatever the client accepts; the next answer of the same resource may be larger.
    if "accept-encoding" not in headers.get("vary", "").lower():
        headers.add_vary_header("Accept-Encoding")
    headers["ETag"] = tag = _tag(headers, body["body"])
    if wanted.strip() != "*" and tag not in re.findall(r'"[^"]*"', wanted):
        return body
    start["status"] = 304
    for name in _NOT_IN_304:
        del headers[name]
    return {**body, "body": b""}


def _tag(headers: Headers, body: bytes) -> str:
    digest = hashlib.blake2b(body, digest_size=16)
    for name, value in sorted(headers.items()):
        if name in {"content-type", "content-encoding"} or name.startswith("wordcount-"):
            digest.update(f"\n{name}:{value}".encode())
    return f'"{digest.hexdigest()}"'
