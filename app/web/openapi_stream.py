"""The resource with an answer and its changes in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence

from app.problem_bodies import Problem
from app.web.openapi_parts import PARAMETERS, RESPONSES, TEXT, Schema, asked, media, number, parameter
from app.web.resources.stream import (
    DEFAULT_INTERVAL_MS,
    LEAST_INTERVAL_MS,
    MOST_INTERVAL_MS,
    MOST_WATCHED_WORDS,
)
from app.web.resources.top import DEFAULT_K, MAX_K
from app.web.terms import LASTING
from app.web.window_parameters import SIZE_PATTERN

_EVENTS = (
    "Events: `snapshot`, then `change` when positions have moved, at most once a second while only positions differ, each with the "
    "JSON body of the plain resource as data and the positions as id; `unavailable` with a problem as data while there is no answer. "
    "Comments come every 15 s, and `retry` at the end."
)


def stream_paths(prefix: Schema, limit: Schema) -> Schema:
    """Return the path of streams.

    Args:
        prefix, limit: parameters of pages of words.
    """
    refused = {"$ref": RESPONSES + Problem.__name__}
    parameters: Sequence[Schema] = [
        parameter(
            "query",
            "word",
            {"type": "array", "items": TEXT, "maxItems": MOST_WATCHED_WORDS},
            "A word to count, given once or more; the data are those of `/v1/words:batch`.",
        ),
        {**prefix, "description": f"{prefix['description']} The data are those of `/v1/words`."},
        limit,
        parameter(
            "query",
            "top",
            number(DEFAULT_K, MAX_K),
            "How many of the most frequent words; the data are those of `/v1/top`.",
        ),
        parameter(
            "query",
            "window",
            {"type": "string", "pattern": SIZE_PATTERN},
            "Size of the windows of whose newest final one the words are; the data are those of `/v1/windows/{size}/top`.",
        ),
        parameter(
            "query",
            "trending",
            {"type": "boolean", "default": False},
            "Whether to watch trending words, of the windows of size `window`; may be empty, which is true. The data are those of "
            "`/v1/trending`.",
        ),
        parameter(
            "query",
            "watches",
            {"type": "boolean", "default": False},
            "Whether to watch how watches stand, with the newest crossings; may be empty, which is true. The data are those of "
            "`/v1/watches`.",
        ),
        parameter(
            "query",
            "interval_ms",
            {
                "type": "integer",
                "minimum": LEAST_INTERVAL_MS,
                "maximum": MOST_INTERVAL_MS,
                "default": DEFAULT_INTERVAL_MS,
            },
            "Least time between two events, in ms.",
        ),
        parameter(
            "header",
            "Last-Event-ID",
            TEXT,
            "Id of the last event that the client has seen: no event is older in any partition.",
        ),
        *({"$ref": PARAMETERS + name} for name in LASTING),
    ]
    return {
        "/v1/stream": {
            "get": asked(
                "An answer and its changes, as Server-Sent Events, until the client leaves or the process stops.",
                media("text/event-stream", TEXT, _EVENTS),
                parameters,
                [400, 422],
                {"404": refused, "410": refused, "503": refused},
                kept=False,
            )
        }
    }
