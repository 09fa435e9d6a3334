"""All of HTTP as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from app.bodies import Version
from app.reads.answers import Queries
from app.web import openapi
from app.web.hosts import AllowedHosts, HostCheck
from app.web.ports import Health
from app.web.problems import http_error, unexpected_error, wordcount_error
from app.web.resources import metrics, page, probes, stats, top, version, words
from tables.errors import WordcountError


def create_asgi_app(
    queries: Queries,
    health: Health,
    metrics_registry: CollectorRegistry,
    version_info: Version,
    normalise: Callable[[str], str] = str,
    *,
    allowed_hosts: AllowedHosts | None = None,
) -> Starlette:
    """Build the application; it serves from the first moment, whatever state `queries` are in.

    Args:
        queries: the counts.
        health: readiness.
        metrics_registry: what `/metrics` shows.
        version_info: what `/version` shows.
        normalise: makes of a word in a path what the tokeniser's profile makes of it; by default nothing.
        allowed_hosts: by which names it may be asked; by default IP addresses and `localhost` alone.
    """
    asgi_app = Starlette(
        routes=[
            *page.routes(),
            *words.routes(queries, normalise),
            *top.routes(queries),
            *stats.routes(queries),
            *probes.routes(health),
            *metrics.routes(metrics_registry),
            *version.routes(version_info),
            *openapi.routes(version_info),
        ],
        middleware=[Middleware(HostCheck, allowed_hosts or AllowedHosts())],
        exception_handlers={
            WordcountError: wordcount_error,
            HTTPException: http_error,
            Exception: unexpected_error,
        },
    )
    # "/v1/words" and "/v1/words/" are two resources: all words, and the empty word of profile java-s.
    asgi_app.router.redirect_slashes = False
    return asgi_app
