"""The resources about windows in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.problem_bodies import Problem
from app.reads.window_answers import USUAL_BASELINE
from app.web.openapi_parts import (
    COUNTING,
    RESPONSES,
    TEXT,
    Schema,
    asked,
    body_of,
    list_of,
    number,
    parameter,
)
from app.web.resources.trending import (
    DEFAULT_MIN_COUNT,
    MOST_BASELINE,
    MOST_MIN_COUNT,
)
from app.web.resources.word_windows import DEFAULT_LAST
from app.web.window_parameters import SIZE_PATTERN
from app.window_bodies import MOST_POINTS, Trending, Windows, WindowTop, WordWindows

_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_SIZE: Final[Schema] = {"type": "string", "pattern": SIZE_PATTERN}
_SIZES: Final = (
    "Size of the windows: `30s`, `1m`, `1h`, `7d`, or a number of seconds; `1h/5m` for windows of an hour that begin every 5 minutes. "
    "What comes after the slash, or the size itself, has to be counted."
)


def window_paths(terms: Sequence[Schema], k: Schema, exact: Schema) -> Schema:
    """Return the paths of windows.

    Args:
        terms: parameters of all resources with counts.
        k, exact: parameters of lists of the most frequent words.
    """
    word = parameter("path", "word", TEXT, 'Percent-encoded UTF-8; any character, also "/" and NUL.')
    size = parameter("query", "size", _SIZE, f"{_SIZES} By default the shortest one of WORDCOUNT_WINDOWS.")
    in_path = parameter("path", "size", {"type": "string", "pattern": SIZE_PATTERN}, _SIZES)
    at = parameter(
        "query",
        "at",
        _TIME,
        "A time in the window; of several hopping windows that have the time the one that begins last. By default the newest window "
        "that is final in all partitions that have a time.",
    )
    first = parameter("query", "from", _TIME, "Beginning, with `to`: from the window on that has this time.")
    last = parameter("query", "to", _TIME, "End, exclusive: windows that begin before it.")
    newest = parameter(
        "query",
        "last",
        number(DEFAULT_LAST, MOST_POINTS),
        "How many of the newest windows, without `from` and `to`.",
    )
    baseline = parameter(
        "query",
        "baseline",
        number(USUAL_BASELINE, MOST_BASELINE),
        "How many windows before are the baseline; fewer if fewer are kept and whole, or if the first record was later.",
    )
    min_count = parameter(
        "query",
        "min_count",
        number(DEFAULT_MIN_COUNT, MOST_MIN_COUNT),
        "Least count of a word in the window.",
    )
    is_open = parameter(
        "query",
        "open",
        {"type": "boolean", "default": False},
        "Whether to take the newest window that has begun, which may take records still, and not the newest final one.",
    )
    refused = {"$ref": RESPONSES + Problem.__name__}
    absent = {"404": refused, "410": refused}
    listed = (*COUNTING, 406)
    return {
        "/v1/windows": {
            "get": asked(
                "Which windows are counted and kept, and the event time of each partition.",
                body_of(Windows),
                terms,
                COUNTING,
            )
        },
        "/v1/windows/{size}/top": {
            "get": asked(
                "The most frequent words of a window, or of adjacent windows together.",
                list_of(WindowTop),
                [in_path, k, at, first, last, exact, *terms],
                listed,
                absent,
            )
        },
        "/v1/words/{word}/windows": {
            "get": asked(
                "The counts of one word in adjacent windows, oldest first, zeros included.",
                list_of(WordWindows),
                [word, size, first, last, newest, *terms],
                listed,
                absent,
            )
        },
        "/v1/trending": {
            "get": asked(
                "Words that occur far more often than in the windows before: score descending, then word ascending.",
                list_of(Trending),
                [size, k, at, baseline, min_count, is_open, *terms],
                listed,
                absent,
            )
        },
    }
