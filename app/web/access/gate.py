"""The gate: passes requests of clients that have the needed token and keep to the rate limit, and refuses the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from app.web.access.rate_limit import CLIENT, RateLimit, client_of
from app.web.access.scopes import Scope, is_limited, needed_scope
from app.web.access.tokens import Tokens
from app.web.problems import FORBIDDEN, TOO_MANY_REQUESTS, UNAUTHORIZED, problem_response

_SCHEME = b"bearer"


class Gate:
    """An ASGI application that passes requests on to another application, or refuses them with problem 401, 403 or 429.

    Requests that are refused for their token count for the rate limit too, as requests of their IP address, so that nobody can try
    tokens quickly.

    Args:
        asgi_app: the other application.
        tokens: returns the present tokens; None = no request needs a token.
        rate_limit: the bound for each client; None = no bound.
    """

    def __init__(
        self, asgi_app: Any, tokens: Callable[[], Tokens] | None, rate_limit: RateLimit | None
    ) -> None:
        self._asgi_app = asgi_app
        self._tokens = tokens
        self._rate_limit = rate_limit

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one request on, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._asgi_app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Any) -> Response | None:
        path = scope["path"]
        token = None if self._tokens is None else _token_of(scope)
        client = None if self._tokens is None or not token else self._tokens().client_of(token)
        if client is not None:
            scope[CLIENT] = f"token {client.name}"  # The blank keeps names of tokens and addresses apart.
        if self._rate_limit is not None and is_limited(path):
            wait_s = self._rate_limit.wait_s(client_of(scope))
            if wait_s:
                detail = (
                    f"a client may send {self._rate_limit.per_s} requests per second; ask again in {wait_s} s"
                )
                return problem_response(TOO_MANY_REQUESTS, detail, {"Retry-After": str(wait_s)})
        needed = needed_scope(scope["method"], path)
        if self._tokens is None or needed is None or (client is not None and needed in client.scopes):
            return None
        if client is not None:
            return _refused(needed, "insufficient_scope")
        return _refused(needed, None if token is None else "invalid_token")


def _token_of(scope: Any) -> bytes | None:
    """Return the token that a request brings; b"" if its `Authorization` is something else, None if there is no `Authorization`."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        return None
    scheme, _, token = given[0].partition(b" ")
    return token.strip(b" ") if len(given) == 1 and scheme.lower() == _SCHEME else b""


def _refused(needed: Scope, error: str | None) -> Response:
    """Return the refusal of a request; `error` is a code of RFC 6750, None if the request has no `Authorization`."""
    challenge = f'Bearer realm="wordcount", scope="{needed}"' + (f', error="{error}"' if error else "")
    if error == "insufficient_scope":
        detail = f'this request needs a token with scope "{needed}", which the token does not have'
        return problem_response(FORBIDDEN, detail, {"WWW-Authenticate": challenge})
    detail = (
        f'the token is not known; this request needs one with scope "{needed}"'
        if error
        else f'this request needs a token with scope "{needed}": Authorization: Bearer <token>'
    )
    return problem_response(UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})
