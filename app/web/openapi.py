"""`/openapi.json`: the API in OpenAPI 3.1, written by hand and held to the routes and answers by tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.web.ports import VersionInfo
from app.web.problems import MEDIA_TYPE
from app.web.resource import Resource
from app.web.resources.top import DEFAULT_K, MAX_K
from app.web.resources.words import DEFAULT_LIMIT, MAX_LIMIT
from app.web.responses import json_response

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_CURSOR: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_UNKNOWABLE: Schema = {"type": ["integer", "null"], "minimum": 0}


def document(version: VersionInfo) -> Schema:
    """The whole OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wordcount",
            "version": version.version,
            "description": "Exact word counts of a Kafka topic. Every answer is durable, and says how fresh "
            "(`as_of`: partition -> next offset to count) and how complete it is.",
        },
        "paths": _paths(),
        "components": {"schemas": _schemas(), "responses": {"Problem": _problem_response()}},
    }


def routes(version: VersionInfo) -> list[Resource]:
    """The route of the document."""
    content = document(version)

    async def get_openapi(_: Request) -> Response:
        return json_response(content)

    return [Resource("/openapi.json", get_openapi)]


def _paths() -> Schema:
    word = _parameter("path", "word", _TEXT, 'Percent-encoded UTF-8; any character, also "/" and NUL.')
    prefix = _parameter("query", "prefix", _TEXT, "Only words that start with it, compared as it is.")
    limit = _parameter("query", "limit", _number(DEFAULT_LIMIT, MAX_LIMIT), "Most words in the page.")
    cursor = _parameter("query", "cursor", _CURSOR, "`next_cursor` of the page before, of the same prefix.")
    k = _parameter("query", "k", _number(DEFAULT_K, MAX_K), "How many words.")
    exact = _parameter(
        "query",
        "exact",
        {"type": "boolean", "default": False},
        "Go through all words where less does not prove which are the most frequent ones; 503 where that takes too long.",
    )
    unready = {"503": _content("Readiness", "At least one check fails.")}
    return {
        "/": {"get": _get("A live page for people.", _media("text/html", _TEXT, "The page."))},
        "/v1/words": {
            "get": _get(
                "Words in the byte order of UTF-8, page by page.",
                _content("Words", "A page."),
                [prefix, limit, cursor],
                [400, 422, 503],
            )
        },
        "/v1/words/{word}": {
            "get": _get(
                "The count of one word, after what the tokeniser makes of it.",
                _content("Word", "The count."),
                [word],
                [400, 404, 503],
            )
        },
        "/count/{word}/": {
            "get": _get(
                "The count of one word, as the stock Faust example answers.",
                _media("application/json", {"type": "object", "additionalProperties": _COUNT}, "The count."),
                [word],
                [400, 404, 503],
            )
        },
        "/v1/top": {
            "get": _get(
                "The most frequent words: count descending, then word ascending.",
                _content("Top", "The words, with exact counts; there is no further page."),
                [k, exact],
                [400, 422, 503],
            )
        },
        "/v1/stats": {
            "get": _get(
                "Totals, and where each partition stands.",
                _content("Stats", "`records` = `counted` + the sums of `skipped` and of `dead_lettered`."),
                [],
                [400, 503],
            )
        },
        "/livez": {"get": _get("Whether the process turns.", _content("Liveness", "It does."))},
        "/readyz": {
            "get": _get(
                "Whether the process should be asked.", _content("Readiness", "It should."), others=unready
            )
        },
        "/metrics": {
            "get": _get(
                "Metrics, as OpenMetrics where the client accepts it.",
                _media("text/plain", _TEXT, "Prometheus text format."),
            )
        },
        "/version": {"get": _get("What runs.", _content("Version", "The versions."))},
        "/openapi.json": {
            "get": _get("This document.", _media("application/json", {"type": "object"}, "It."))
        },
    }


def _schemas() -> Schema:
    by_reason: Schema = {"type": "object", "additionalProperties": _COUNT}
    fresh: Schema = {
        "as_of": {"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}, "additionalProperties": _COUNT},
        "complete": {"type": "boolean"},
        "missing_partitions": {"type": "array", "items": _COUNT},
    }
    word = {"word": _TEXT, "count": {"type": "integer", "minimum": 1}}
    status = _object(
        state={"enum": ["restoring", "counting", "stopped", "released"]},
        position=_UNKNOWABLE,
        highwater=_UNKNOWABLE,
        lag_records=_UNKNOWABLE,
    )
    return {
        "Word": _object(**word, **fresh),
        "Words": _object(
            words={"type": "array", "maxItems": MAX_LIMIT, "items": _object(**word)},
            next_cursor={"type": ["string", "null"]},
            **fresh,
        ),
        "Top": _object(
            words={"type": "array", "maxItems": MAX_K, "items": _object(**word)},
            exact={
                "type": "boolean",
                "description": "Whether these are certainly the most frequent words, in this order.",
            },
            max_error={
                **_COUNT,
                "description": "A word that is not listed occurs at most so many times more often than the last one that is; 0 where "
                "`exact`.",
            },
            next_cursor={"type": "null"},
            **fresh,
        ),
        "Stats": _object(
            records=_COUNT,
            words=_COUNT,
            counted=_COUNT,
            skipped=by_reason,
            dead_lettered=by_reason,
            dropped_words=by_reason,
            partitions={"type": "object", "additionalProperties": status},
            **fresh,
        ),
        "Liveness": _object(status={"const": "ok"}),
        "Readiness": _object(
            status={"enum": ["ready", "not_ready"]},
            checks={"type": "object", "additionalProperties": _object(ok={"type": "boolean"}, detail=_TEXT)},
        ),
        "Version": {
            "type": "object",
            "properties": {"version": _TEXT, "python": _TEXT, "faust": _TEXT, "commit": _TEXT},
            "required": ["version", "python", "faust"],
            "additionalProperties": False,
        },
        "Problem": {
            "type": "object",
            "description": "RFC 9457. For an unknown word also how fresh and complete that answer is.",
            "properties": {
                "type": {"type": "string", "pattern": "^urn:problem-type:wordcount:[a-z-]+$"},
                "title": _TEXT,
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": _TEXT,
                "word": _TEXT,
                **fresh,
            },
            "required": ["type", "title", "status", "detail"],
            "additionalProperties": False,
        },
    }


def _get(
    summary: str,
    answer: Schema,
    parameters: Sequence[Schema] = (),
    problems: Sequence[int] = (),
    others: Mapping[str, Schema] | None = None,
) -> Schema:
    refused = {"$ref": "#/components/responses/Problem"}
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            "200": answer,
            **{str(status): refused for status in problems},
            **(others or {}),
            "default": refused,
        },
    }


def _parameter(place: str, name: str, schema: Schema, description: str) -> Schema:
    return {
        "in": place,
        "name": name,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


def _number(default: int, most: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _content(schema: str, description: str) -> Schema:
    return _media("application/json", {"$ref": f"#/components/schemas/{schema}"}, description)


def _media(media_type: str, schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _problem_response() -> Schema:
    return _media(
        MEDIA_TYPE, {"$ref": "#/components/schemas/Problem"}, "What went wrong, as RFC 9457 has it."
    )
