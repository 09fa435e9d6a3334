"""Scopes: which token a request needs, decided by method and path, in this module alone."""

from __future__ import annotations

from typing import Final, Literal, get_args

Scope = Literal["read", "ingest", "admin"]
"""What a token allows. read: to ask; ingest: to send texts; admin: to act on workers. No scope contains another."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

PROBES: Final = frozenset({"/livez", "/readyz"})
"""Resources for supervisors, which have no token. They are without rate limit too, because a refused probe restarts a worker."""

OPEN: Final = PROBES | {"/", "/openapi.json"}
"""Resources that need no token: the probes, and two documents that are the same for everybody and have no data."""

PAGE: Final = "/page/"
"""Beginning of the paths of the page's files, which need no token either. They are without rate limit, because they come from memory
and are asked for all at once: a page of which one file is refused is no page."""

PEERS: Final = "/peer/"
"""Beginning of the paths by which workers ask each other. They have a secret of their own, which another module checks."""

ADMIN: Final = "/v1/admin/"
"""Beginning of the paths of an operator's actions."""

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})

ASKING: Final = frozenset({"/v1/words:batch", "/v1/tokens"})
"""Paths of questions that are too long for a path, so that they are sent by POST."""


def needed_scope(method: str, path: str) -> Scope | None:
    """Return the scope that a request needs; None = it needs no token.

    A path that is not known needs a token too, so that a new resource is closed until this module says otherwise.

    Args:
        method: method of the request, upper case.
        path: decoded path of the request, as the router compares it.
    """
    if path in OPEN or path.startswith(PEERS) or (path.startswith(PAGE) and method in READING):
        return None
    if path.startswith(ADMIN):
        return "admin"
    if method in READING or (method == "POST" and path in ASKING):
        return "read"
    return "ingest" if method == "POST" else "admin"


def is_limited(path: str) -> bool:
    """Return whether the rate limit counts requests for `path`."""
    return path not in PROBES and not path.startswith((PEERS, PAGE))
