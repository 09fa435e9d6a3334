"""JSON responses of all resources: encoded by msgspec, with headers about caching and against guessing the media type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap
from typing import TypedDict

import msgspec
from starlette.responses import Response

from app.bodies import Behind, CountedWord
from app.reads.answers import Answer, Role

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
"""Headers of every answer: it is not kept, not taken for another type, not shown inside of another page, and tells no address."""
REVALIDATED = {**HEADERS, "Cache-Control": "no-cache"}
"""Headers of an answer that a client may keep, if it asks each time whether the answer still holds.

`app.web.etag` gives each such answer a tag to ask by. An answer is true for ever, because it names its positions; but it is old a
moment later, so that no client should show it without asking.
"""


class FreshnessMembers(TypedDict):
    """The members of `app.bodies.Freshness`."""

    as_of: dict[int, int]
    complete: bool
    missing_partitions: list[int]
    served_by: dict[int, Role]
    behind: dict[int, Behind]


def json_response(
    body: msgspec.Struct | Mapping[str, object] | Sequence[msgspec.Struct],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """Return a response with `body` as JSON."""
    return Response(msgspec.json.encode(body), status, {**HEADERS, **(headers or {})}, media_type)


def freshness(answer: Answer[object]) -> FreshnessMembers:
    """Return the members that say how fresh and how complete `answer` is, with partitions in ascending order."""
    behind = sorted(answer.behind.items())
    return {
        "as_of": dict(sorted(answer.as_of.items())),
        "complete": answer.complete,
        "missing_partitions": sorted(answer.missing_partitions),
        "served_by": dict(sorted(answer.served_by.items())),
        "behind": {partition: Behind(one.records, one.seconds) for partition, one in behind},
    }


def counted_words(words: Iterable[tuple[str, int]]) -> list[CountedWord]:
    """Return `words` with their counts, in the given order."""
    return list(starmap(CountedWord, words))
