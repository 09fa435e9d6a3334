"""How every resource answers: JSON by msgspec, never cached, never sniffed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from starlette.responses import Response

from app.reads.answers import Answer

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_response(
    content: object,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """A response with `content` as JSON."""
    return Response(msgspec.json.encode(content), status, {**HEADERS, **(headers or {})}, media_type)


def freshness(answer: Answer[object]) -> dict[str, object]:
    """Members that every answer of `/v1` has: how fresh and how complete it is."""
    return {
        "as_of": {str(partition): answer.as_of[partition] for partition in sorted(answer.as_of)},
        "complete": answer.complete,
        "missing_partitions": sorted(answer.missing_partitions),
    }


def counted_words(words: Iterable[tuple[str, int]]) -> list[dict[str, object]]:
    """Words with their counts, in the given order."""
    return [{"word": word, "count": count} for word, count in words]
