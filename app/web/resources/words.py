"""`/v1/words`: the count of a word, pages of words, and all words; `/count/{word}/`: a count as Faust's word-count example answers."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import MOST_WORDS, Word, Words
from app.reads.answers import Queries, Terms
from app.web.disconnection import while_connected
from app.web.dumps import Lines, Table, Wanted, dump_response
from app.web.formats import JSON, NDJSON, accepted, freshness_headers, list_response
from app.web.parameters import cursor_after, path_word, query_parameters, whole_number, word_of_cursor
from app.web.problems import absent_word_response
from app.web.resource import Resource
from app.web.responses import REVALIDATED, counted_words, freshness, json_response
from app.web.terms import NAMES, terms_of

DEFAULT_LIMIT = 100
MAX_LIMIT = MOST_WORDS


def routes(queries: Queries, normalise: Callable[[str], str]) -> list[Resource]:
    """Return the routes of words.

    Args:
        queries: answers questions about counts.
        normalise: normalises a word as the tokeniser's profile does, so that "The" finds "the".
    """

    async def get_word(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        word = normalise(path_word(request, "/v1/words/"))
        answer = await while_connected(request, queries.get(word, terms))
        if answer.value is None:
            return absent_word_response(word, answer)
        return json_response(Word(word, answer.value, **freshness(answer)), headers=REVALIDATED)

    async def get_stock_count(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        asked = path_word(request, "/count/", "/")
        answer = await while_connected(request, queries.get(normalise(asked), terms))
        if answer.value is None:
            return absent_word_response(asked, answer)
        return json_response({asked: answer.value}, headers={**REVALIDATED, **freshness_headers(answer)})

    async def list_words(request: Request) -> Response:
        parameters = query_parameters(request, "prefix", "limit", "cursor", *NAMES)
        media_type, terms = accepted(request), terms_of(parameters)
        prefix = parameters.get("prefix", "")
        limit = whole_number(parameters, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        cursor = parameters.get("cursor")
        after = None if cursor is None else word_of_cursor(cursor, prefix)
        if media_type != JSON and "limit" not in parameters:
            written = Lines() if media_type == NDJSON else Table()
            return await dump_response(request, queries, Wanted(prefix, after), terms, written)
        return list_response(
            media_type, await while_connected(request, page_of(queries, prefix, after, limit, terms))
        )

    return [
        Resource("/v1/words", list_words),
        Resource("/v1/words/{word:path}", get_word),
        Resource("/count/{word:path}/", get_stock_count),
    ]


async def page_of(queries: Queries, prefix: str, after: str | None, limit: int, terms: Terms) -> Words:
    """Return a page of words as the body of an answer. Arguments and errors are those of `Queries.list`."""
    answer = await queries.list(prefix, after, limit, terms)
    page = answer.value
    next_cursor = cursor_after(page.words[-1][0], prefix) if page.has_more and page.words else None
    return Words(counted_words(page.words), next_cursor, **freshness(answer))
