"""`/v1/tokens`: how a text is split into words, and what each of them is counted as."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from agents.text.choices import Policies
from agents.text.explained import explained
from agents.text.tokenizer import Tokenizer
from app.text_bodies import MOST_TEXT_BYTES, TextAsked, Token, Tokens
from app.web.parameters import query_parameters
from app.web.problems import OutOfRangeError
from app.web.request_bodies import BodyBudget, check_json, from_json
from app.web.resource import Resource
from app.web.responses import json_response

MOST_BYTES: Final = 131_072
"""Largest body in bytes: the largest text, each byte of it as a JSON escape, fits."""


def explainer(tokenizer: Tokenizer, policies: Policies) -> Callable[[str], Tokens]:
    """Return a function that explains the words of a text, as a worker with this tokeniser and these policies counts them."""

    def explain(text: str) -> Tokens:
        found = explained(tokenizer, policies, text)
        return Tokens(
            tokenizer.profile,
            dict(Counter(one.word for one in found if one.left_out is None)),
            [Token(one.start, one.end, one.text, one.word, one.left_out or UNSET) for one in found],
        )

    return explain


def routes(explain: Callable[[str], Tokens], bodies: BodyBudget) -> list[Resource]:
    """Return the route of `/v1/tokens`.

    Args:
        explain: explains the words of a text.
        bodies: bounds the bytes of all bodies.
    """

    async def get_tokens(request: Request) -> Response:
        query_parameters(request)
        check_json(request)
        async with bodies.body_of(request, MOST_BYTES) as body:
            text = from_json(body, TextAsked).text
            size = len(text.encode("utf-8", "surrogatepass"))
            if size > MOST_TEXT_BYTES:
                raise OutOfRangeError(f'"text" has {size} bytes', f"give {MOST_TEXT_BYTES} at most")
            # A long text of rare characters takes some 10 ms, which is too much for a loop that answers others.
            return json_response(await asyncio.to_thread(explain, text))

    return [Resource("/v1/tokens", get_tokens, method="POST")]
