"""Which names a client may call this service by.

A page of another site can have its own name lead to 127.0.0.1 and then read whatever answers there, as if it were its own: DNS
rebinding. The browser still says which name it asked for. It can be no IP address, which no name server answers for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from app.printable import printable
from app.web.problems import HOST_NOT_ALLOWED, problem_response

ANY = "*"


class AllowedHosts:
    """Tells names of this service from others; IP addresses, `localhost` and names below it are always allowed.

    Args:
        names: without ports, in any case; `*.example.org` stands for every name below example.org, `*` for every name.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        lower = {name.lower() for name in names} | {"localhost", "*.localhost"}
        self._any = ANY in lower
        self._names = frozenset(name for name in lower if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in lower if name.startswith("*."))

    def allows(self, host: str) -> bool:
        """Whether a request with this `Host` may be answered. An empty one may: only programs, not pages, can send it."""
        if self._any or not host:
            return True
        name = _without_port(host).removesuffix(".").lower()
        return name in self._names or name.endswith(self._suffixes) or _is_address(name)


class HostCheck:
    """An ASGI application that answers for another one only where the `Host` is allowed."""

    def __init__(self, asgi_app: Any, allowed: AllowedHosts) -> None:
        self._asgi_app = asgi_app
        self._allowed = allowed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
            if not self._allowed.allows(host):
                detail = (
                    f'"{printable(host[:100])}" is no name of this service; '
                    "ask by its IP address, or name it in WORDCOUNT_HTTP_ALLOWED_HOSTS"
                )
                await problem_response(HOST_NOT_ALLOWED, detail)(scope, receive, send)
                return
        await self._asgi_app(scope, receive, send)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
