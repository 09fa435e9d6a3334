"""`/v1/top`: the most frequent words."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.web.parameters import query_parameters, whole_number
from app.web.ports import Queries
from app.web.resource import Resource
from app.web.responses import counted_words, freshness, json_response

DEFAULT_K = 10
MAX_K = 1000


def routes(queries: Queries) -> list[Resource]:
    """The route of the most frequent words."""

    async def get_top(request: Request) -> Response:
        k = whole_number(query_parameters(request, "k"), "k", DEFAULT_K, MAX_K)
        answer = await queries.top(k)
        return json_response({"words": counted_words(answer.value), "next_cursor": None, **freshness(answer)})

    return [Resource("/v1/top", get_top)]
