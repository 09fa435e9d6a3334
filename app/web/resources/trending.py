"""`/v1/trending`: words that occur far more often than in the windows before."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.reads.answers import Terms
from app.reads.window_answers import AllQueries, WindowSize, time_text
from app.web.disconnection import while_connected
from app.web.formats import accepted, list_response
from app.web.parameters import query_parameters, truth, whole_number
from app.web.problems import OutOfRangeError
from app.web.resource import Resource
from app.web.resources.top import DEFAULT_K, MAX_K
from app.web.resources.windows import stream_times
from app.web.responses import freshness
from app.web.terms import NAMES, terms_of
from app.web.window_parameters import size_asked, time_of
from app.window_bodies import Trending, TrendingWord

MOST_BASELINE: Final = 100
DEFAULT_MIN_COUNT: Final = 10
MOST_MIN_COUNT: Final = 1_000_000_000

_DIGITS: Final = 3
"""Decimal places of scores and averages."""


def routes(queries: AllQueries, shortest: WindowSize | None = None) -> list[Resource]:
    """Return the route of `/v1/trending`; `shortest` = size of the windows that are meant if a question names none."""

    async def get_trending(request: Request) -> Response:
        parameters = query_parameters(request, "size", "k", "baseline", "min_count", "at", "open", *NAMES)
        size = size_asked(parameters, shortest)
        k = whole_number(parameters, "k", DEFAULT_K, MAX_K)
        baseline = baseline_of(parameters, size)
        min_count = whole_number(parameters, "min_count", DEFAULT_MIN_COUNT, MOST_MIN_COUNT)
        at, is_open = time_of(parameters, "at"), truth(parameters, "open", default=False)
        if at is not None and is_open:
            raise OutOfRangeError('"at" is given with "open"', "give one of both")
        media_type, terms = accepted(request), terms_of(parameters)
        asking = trending_words(
            queries,
            size,
            k,
            baseline,
            min_count=min_count,
            start_s=None if at is None else int(at // size.advance_s) * size.advance_s,
            is_open=is_open,
            terms=terms,
        )
        return list_response(media_type, await while_connected(request, asking))

    return [Resource("/v1/trending", get_trending)]


async def trending_words(
    queries: AllQueries,
    size: WindowSize,
    k: int,
    baseline: int,
    *,
    min_count: int = DEFAULT_MIN_COUNT,
    start_s: int | None = None,
    is_open: bool = False,
    terms: Terms,
) -> Trending:
    """Return the trending words as the body of an answer. Arguments and errors are those of `WindowQueries.trending`."""
    answer = await queries.windows.trending(
        size, k, baseline=baseline, min_count=min_count, start_s=start_s, is_open=is_open, terms=terms
    )
    found, span = answer.value, answer.value.span
    return Trending(
        [
            TrendingWord(
                one.word, one.count, round(one.before / found.windows, _DIGITS), round(one.score, _DIGITS)
            )
            for one in found.trending.words
        ],
        found.trending.max_score is None,
        round(found.trending.max_score or 0.0, _DIGITS),
        size.name,
        time_text(span.start_s),
        time_text(span.end_s),
        span.is_final,
        span.is_whole,
        stream_times(span.held_back_by),
        time_text(found.before_s),
        found.windows,
        **freshness(answer),
    )


def baseline_of(parameters: dict[str, str], size: WindowSize) -> int:
    """Return parameter `baseline`, by default as many windows as usual, or fewer if so many cannot be added up.

    Raises:
        OutOfRangeError: the parameter has another value, or the size has too many panes for any baseline.
    """
    most = min(MOST_BASELINE, size.most_baseline)
    if most < 1:
        raise OutOfRangeError(
            f'"size" is {size.name}, which is {size.panes:,} windows each', "give larger panes"
        )
    return whole_number(parameters, "baseline", size.usual_baseline, most)
