"""`/v1/words:batch`: the counts of many words, all as of the same positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import MOST_WORDS_ASKED, AskedWord, Counts, WordsAsked
from app.reads.answers import Queries, Terms
from app.web.disconnection import while_connected
from app.web.formats import accepted, list_response
from app.web.parameters import query_parameters
from app.web.problems import OutOfRangeError
from app.web.request_bodies import MOST_BYTES, BodyBudget, check_json, from_json
from app.web.resource import Resource
from app.web.responses import HEADERS, freshness
from app.web.terms import NAMES, terms_of


def routes(queries: Queries, normalise: Callable[[str], str], bodies: BodyBudget) -> list[Resource]:
    """Return the route of `/v1/words:batch`. A word that does not occur has the count 0, so that counts stand in the order of words.

    0 is not a guess: the answer is over all partitions, or is a problem, or the client has allowed partitions to be left out.

    Args:
        queries: answers questions about counts.
        normalise: normalises a word as the tokeniser's profile does.
        bodies: bounds the bytes of all bodies.
    """

    async def count_words(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        media_type = accepted(request)
        check_json(request)
        async with bodies.body_of(request, MOST_BYTES) as body:
            words = [normalise(word) for word in from_json(body, WordsAsked).words]
            if len(words) > MOST_WORDS_ASKED:
                raise OutOfRangeError(f'"words" has {len(words)} words', f"give {MOST_WORDS_ASKED} at most")
            counts = await while_connected(request, counts_of(queries, words, terms))
        return list_response(media_type, counts, HEADERS)

    return [Resource("/v1/words:batch", count_words, method="POST")]


async def counts_of(queries: Queries, words: Sequence[str], terms: Terms) -> Counts:
    """Return the counts of normalised words, in their order, as the body of an answer. Raises what `Queries.counts_of` does."""
    distinct = list(dict.fromkeys(words))
    answer = await queries.counts_of(distinct, terms)
    counts = dict(zip(distinct, answer.value, strict=True))
    return Counts([AskedWord(word, counts[word]) for word in words], **freshness(answer))
