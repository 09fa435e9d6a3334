"""What restricts access to HTTP, and the ASGI middlewares that do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.middleware import Middleware

from app.web.access.cors import Cors
from app.web.access.gate import Gate
from app.web.access.rate_limit import RateLimit
from app.web.access.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Access:
    """Restrictions of access to HTTP; without any, everybody who reaches the worker may ask it.

    Attributes:
        tokens: returns the present tokens; None = no request needs a token.
        requests_per_s: requests that a client may send in a second; None = no bound.
        origins: origins of pages that may read the answers, besides the worker's own; `*` = every origin.
    """

    tokens: Callable[[], Tokens] | None = None
    requests_per_s: int | None = None
    origins: Sequence[str] = ()

    def middleware(self) -> list[Middleware]:
        """Return the middlewares, the outermost first; none of them costs anything where nothing is set.

        Pages of allowed origins can read refusals too, and the question whether they may ask at all comes without a token.
        """
        found = [Middleware(Cors, self.origins)] if self.origins else []
        if self.tokens is not None or self.requests_per_s is not None:
            limit = None if self.requests_per_s is None else RateLimit(self.requests_per_s)
            found.append(Middleware(Gate, self.tokens, limit))
        return found
