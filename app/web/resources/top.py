"""`/v1/top`: the most frequent words."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import MOST_WORDS, Top
from app.reads.answers import Queries, Terms
from app.web.disconnection import while_connected
from app.web.formats import accepted, list_response
from app.web.parameters import query_parameters, truth, whole_number
from app.web.resource import Resource
from app.web.responses import counted_words, freshness
from app.web.terms import NAMES, terms_of

DEFAULT_K = 10
MAX_K = MOST_WORDS


def routes(queries: Queries) -> list[Resource]:
    """Return the route of `/v1/top`."""

    async def get_top(request: Request) -> Response:
        parameters = query_parameters(request, "k", "exact", *NAMES)
        k = whole_number(parameters, "k", DEFAULT_K, MAX_K)
        exact = truth(parameters, "exact", default=False)
        media_type, terms = accepted(request), terms_of(parameters)
        return list_response(
            media_type, await while_connected(request, top_words(queries, k, exact=exact, terms=terms))
        )

    return [Resource("/v1/top", get_top)]


async def top_words(queries: Queries, k: int, *, exact: bool = False, terms: Terms) -> Top:
    """Return the most frequent words as the body of an answer. Raises what `Queries.top` does."""
    answer = await queries.top(k, exact=exact, terms=terms)
    top = answer.value
    return Top(counted_words(top.words), top.exact, top.max_error or 0, None, **freshness(answer))
