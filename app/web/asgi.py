"""The ASGI application: all HTTP resources, the checks of host names and access, and the mapping of errors to answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from agents.text.choices import Policies
from agents.text.tokenizer import tokenizer
from app.bodies import Version
from app.produce.receipt import NoIngest
from app.reads.window_answers import AllQueries, WindowSize
from app.text_bodies import Tokens
from app.web import openapi
from app.web.access.options import Access
from app.web.audiences import Audiences
from app.web.compression import Compression
from app.web.etag import EntityTags
from app.web.hosts import AllowedHosts, HostCheck
from app.web.intake import Intake
from app.web.measured import Measured, RequestObserver
from app.web.ports import Health, WatchStates
from app.web.problems import http_error, unexpected_error, wordcount_error
from app.web.request_bodies import BodyBudget
from app.web.resources import (
    assignments,
    batch,
    metrics,
    page,
    peer,
    probes,
    state,
    stats,
    stream,
    texts,
    tokens,
    top,
    trending,
    version,
    watches,
    windows,
    word_windows,
    words,
)
from tables.errors import WordcountError


def create_asgi_app(
    queries: AllQueries,
    health: Health,
    metrics_registry: CollectorRegistry,
    version_info: Version,
    normalise: Callable[[str], str] = str,
    *,
    peer_answers: peer.Answers | None = None,
    allowed_hosts: AllowedHosts | None = None,
    access: Access | None = None,
    workers: state.Workers | None = None,
    configured_windows: Sequence[WindowSize] = (),
    audiences: Audiences | None = None,
    watch_states: WatchStates | None = None,
    intake: Intake | None = None,
    explain: Callable[[str], Tokens] | None = None,
    observer: RequestObserver | None = None,
) -> Starlette:
    """Build the application, which answers from the first moment, whatever state `queries` is in.

    Args:
        queries: answers questions about counts.
        health: says whether the worker is ready.
        metrics_registry: the metrics that `/metrics` shows.
        version_info: the versions that `/version` shows.
        normalise: normalises a word of a path as the tokeniser's profile does; by default the word stays as it is.
        peer_answers: answers questions of other workers; None = no other worker may ask.
        workers: returns host and port of all workers, this worker first; None = this worker alone, by the address that was asked.
        allowed_hosts: host names that a request may name; None = IP addresses and `localhost` only.
        configured_windows: windows that `/v1/windows` lists if their panes are counted, besides the panes themselves. The shortest one
            is meant where a question names no size.
        access: tokens, rate limit and origins of pages; None = no restriction.
        audiences: asks the questions of `/v1/stream`; None = audiences that end with their clients alone.
        watch_states: how watches stand; None = there are none.
        intake: takes the texts of `/v1/texts`; None = no texts are taken.
        explain: explains the words of a text; None = as profile `unicode` does without options.
        observer: reports requests; None = nobody is told.
    """
    bodies = BodyBudget()
    taking = intake or Intake(NoIngest())
    shortest = min(configured_windows, default=None)
    asgi_app = Starlette(
        routes=[
            *page.routes(takes_texts=not isinstance(taking.ingest, NoIngest)),
            *word_windows.routes(queries, normalise, shortest),  # Before the route of any word.
            *words.routes(queries, normalise),
            *batch.routes(queries, normalise, bodies),
            *tokens.routes(explain or tokens.explainer(tokenizer("unicode"), Policies()), bodies),
            *top.routes(queries),
            *texts.routes(taking),
            *windows.routes(queries, configured_windows),
            *trending.routes(queries, shortest),
            *stream.routes(queries, normalise, shortest, audiences or Audiences(), watch_states),
            *watches.routes(watch_states),
            *stats.routes(queries),
            *assignments.routes(queries),
            *state.routes(queries, normalise, workers),
            *probes.routes(health),
            *metrics.routes(metrics_registry),
            *version.routes(version_info),
            *openapi.routes(version_info),
            *(peer.routes(peer_answers, BodyBudget(), watch_states) if peer_answers is not None else ()),
        ],
        # Tags are outside of the compression, because a tag belongs to the bytes that are sent.
        middleware=[
            *([Middleware(Measured, observer)] if observer is not None else ()),
            Middleware(HostCheck, allowed_hosts or AllowedHosts()),
            *(access or Access()).middleware(),
            Middleware(EntityTags),
            Middleware(Compression),
        ],
        exception_handlers={
            WordcountError: wordcount_error,
            HTTPException: http_error,
            Exception: unexpected_error,
        },
    )
    # "/v1/words" and "/v1/words/" are two resources: all words, and the empty word, which profile java-s counts.
    asgi_app.router.redirect_slashes = False
    return asgi_app
