"""`/v1/stream`: an answer and its changes, as Server-Sent Events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sse_starlette.event import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from app.bodies import Freshness
from app.reads.answers import Terms
from app.reads.window_answers import AllQueries, WindowSize
from app.watch_bodies import Watches
from app.web.audiences import Audiences, Question
from app.web.disconnection import while_connected
from app.web.event_stream import EventStream
from app.web.parameters import repeatable_parameters, truth, whole_number
from app.web.ports import WatchStates
from app.web.problems import OutOfRangeError, problem_of
from app.web.resource import Resource
from app.web.resources.batch import counts_of
from app.web.resources.top import DEFAULT_K, MAX_K, top_words
from app.web.resources.trending import baseline_of, trending_words
from app.web.resources.watches import watch_states
from app.web.resources.windows import window_top
from app.web.resources.words import DEFAULT_LIMIT, MAX_LIMIT, page_of
from app.web.terms import LASTING, offsets_of, terms_of
from app.web.window_parameters import size_asked, size_of
from tables.errors import BadRequestError, WordcountError

MOST_WATCHED_WORDS: Final = 100
DEFAULT_INTERVAL_MS: Final = 1_000
LEAST_INTERVAL_MS: Final = 100
MOST_INTERVAL_MS: Final = 60_000

_KINDS: Final = {
    "watches": frozenset({"watches"}),
    "trending": frozenset({"trending", "window", "top"}),
    "window": frozenset({"window", "top"}),
    "top": frozenset({"top"}),
    "prefix": frozenset({"prefix", "limit"}),
    "word": frozenset({"word"}),
}
"""Kind of a question, which is the name of a parameter, and the parameters that it may have; the first one that is given is meant."""

_REMEDY: Final = (
    'ask one question: "word" (once or more), "prefix" (with "limit"), "top", "window" (with "top"), "trending" (with "window" and '
    '"top"), or "watches"'
)
_NAMES: Final = ("prefix", "limit", "top", "window", "trending", "watches", "interval_ms", *LASTING)
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class _Resources:
    """What the questions of streams are asked with, see `routes`."""

    queries: AllQueries
    normalise: Callable[[str], str]
    shortest: WindowSize | None
    watches: WatchStates | None

    async def watch_states(self, _: AllQueries, *, terms: Terms) -> Watches:
        """Return how watches stand; no terms change that."""
        del terms
        return await watch_states(self.watches)


def routes(
    queries: AllQueries,
    normalise: Callable[[str], str],
    shortest: WindowSize | None,
    audiences: Audiences,
    watches: WatchStates | None = None,
) -> list[Resource]:
    """Return the route of `/v1/stream`.

    Args:
        queries: answers questions.
        normalise: normalises a word as the tokeniser's profile does.
        shortest: size of the windows that trends are asked for if a question names none.
        audiences: asks the questions for all clients.
        watches: how watches stand; None = there are none.
    """
    resources = _Resources(queries, normalise, shortest, watches)

    async def get_stream(request: Request) -> Response:
        question = _question(request, resources)
        last_id = request.headers.get("last-event-id", "")
        seen = offsets_of(last_id, "Last-Event-ID") if last_id else {}
        if request.method == "HEAD":
            return EventStream(_no_events(), lambda: None)
        client = audiences.join(question, seen)
        leave = partial(audiences.leave, question, client)
        with ExitStack() as unless_sent:
            unless_sent.callback(leave)
            news = await while_connected(request, client.first())
            if isinstance(news, Exception) and _is_refusal(news):
                raise news
            unless_sent.pop_all()
        return EventStream(client.events(), leave)

    return [Resource("/v1/stream", get_stream)]


def _question(request: Request, resources: _Resources) -> Question:
    """Return what a request asks for.

    Raises:
        BadRequestError: it is not exactly one question, or a parameter has a value that cannot be used.
    """
    parameters, words = repeatable_parameters(request, "word", *_NAMES)
    for name in ("trending", "watches"):
        if not truth({name: parameters.get(name, "false") or "true"}, name, default=False):
            parameters.pop(name, None)
    interval_ms = whole_number(
        parameters, "interval_ms", DEFAULT_INTERVAL_MS, MOST_INTERVAL_MS, LEAST_INTERVAL_MS
    )
    terms = replace(
        terms_of({name: value for name, value in parameters.items() if name in LASTING}), is_patient=True
    )
    kind = _kind({*parameters, *(["word"] if words else [])} - {"interval_ms", *LASTING})
    function, arguments = _asked(kind, parameters, words, resources)
    return Question(
        (kind, arguments, interval_ms, terms.allow_partial, terms.max_lag_records),
        interval_ms / 1000,
        partial(function, resources.queries, *arguments, terms=terms),
    )


def _kind(given: set[str]) -> str:
    """Return the kind of question that the given parameters ask."""
    kind = next((kind for kind in _KINDS if kind in given), None)
    if kind is None:
        shown = ", ".join(f'"{name}"' for name in sorted(given))
        raise BadRequestError(f"{shown} is no question" if shown else "there is no question", _REMEDY)
    if others := sorted(given - _KINDS[kind]):
        raise BadRequestError(f'"{kind}" and "{others[0]}" are given together', _REMEDY)
    return kind


def _asked(
    kind: str, parameters: dict[str, str], words: Sequence[str], resources: _Resources
) -> tuple[Callable[..., Awaitable[Freshness]], tuple[Hashable, ...]]:
    """Return the function of the plain resource that answers this kind of question, and its arguments."""
    k = whole_number(parameters, "top", DEFAULT_K, MAX_K)
    match kind:
        case "word":
            if len(words) > MOST_WATCHED_WORDS:
                raise OutOfRangeError(
                    f'"word" is given {len(words)} times', f"give {MOST_WATCHED_WORDS} words at most"
                )
            return counts_of, (tuple(map(resources.normalise, words)),)
        case "prefix":
            limit = whole_number(parameters, "limit", DEFAULT_LIMIT, MAX_LIMIT)
            return page_of, (parameters["prefix"], None, limit)
        case "top":
            return top_words, (k,)
        case "watches":
            return resources.watch_states, ()
        case "window":
            return window_top, (size_of(parameters["window"], "window"), k)
        case _:
            named = parameters.get("window")
            size = size_asked({}, resources.shortest) if named is None else size_of(named, "window")
            return trending_words, (size, k, baseline_of({}, size))


def _is_refusal(error: Exception) -> bool:
    """Return whether an answer with `error` will not be there in a moment either, so that there is nothing to watch."""
    return not isinstance(error, WordcountError) or problem_of(error)[0].status < _SERVER_ERROR


async def _no_events() -> AsyncGenerator[ServerSentEvent, None]:
    """The events of `HEAD`, which are never asked for."""
    none: tuple[ServerSentEvent, ...] = ()
    for event in none:
        yield event
