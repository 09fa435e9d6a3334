"""The pages that may send texts: this service's own, and those of allowed origins.

A browser lets a page of any site send plain text to any address that the browser's computer reaches, without asking first; only the
answer is kept from the page. It says in `Origin` whose page it is. Programs send no `Origin`.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import Request


def may_send(request: Request, origins: Collection[str]) -> bool:
    """Return whether the page that sends a request, if any, is of this service or of one of `origins`; `*` = every origin.

    A page of this service has the host and port that the request was sent to. The scheme is not compared, because TLS may end before
    this service.
    """
    given = request.headers.getlist("origin")
    if not given or "*" in origins:
        return True
    if len(given) > 1:
        return False
    origin = given[0].lower()
    host = request.headers.get("host", "").lower()
    return origin in origins or (host != "" and origin.partition("://")[2] == host)
