"""The check of `Host`: host names by which a client may ask this service, against DNS rebinding.

In DNS rebinding the owner of another site lets the site's name resolve to 127.0.0.1. For the browser the answers of this service then
belong to that site, whose page can read them. The browser still sends the site's name as `Host`, and that name is never an IP address,
because no name server resolves IP addresses. So a `Host` that is an IP address is always allowed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from app.printable import printable
from app.web.problems import HOST_NOT_ALLOWED, problem_response

ANY = "*"


class AllowedHosts:
    """The host names of this service. IP addresses, `localhost` and names below `localhost` are always allowed.

    Args:
        names: host names without ports, upper or lower case; `*.example.org` stands for every name below example.org, `*` for every
            name.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        lower = {name.lower() for name in names} | {"localhost", "*.localhost"}
        self._any = ANY in lower
        self._names = frozenset(name for name in lower if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in lower if name.startswith("*."))

    def allows(self, host: str) -> bool:
        """Return whether a request with this `Host` may be answered. "" may: pages cannot send an empty `Host`, only programs can."""
        if self._any or not host:
            return True
        name = _without_port(host).removesuffix(".").lower()
        return name in self._names or name.endswith(self._suffixes) or _is_address(name)


class HostCheck:
    """An ASGI application that passes requests with an allowed `Host` on to another application and refuses the others."""

    def __init__(self, asgi_app: Any, allowed: AllowedHosts) -> None:
        self._asgi_app = asgi_app
        self._allowed = allowed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one request on, or refuse it with problem 421."""
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
