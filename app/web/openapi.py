"""`/openapi.json`: the API in OpenAPI 3.1. Schemas are made from `app.bodies`; a test compares the paths with the routes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.bodies import (
    BODIES,
    AssignmentMap,
    Counts,
    Freshness,
    Instance,
    KeyValue,
    Liveness,
    Readiness,
    Stats,
    StockCount,
    Top,
    Version,
    Word,
    Words,
    WordsAsked,
)
from app.problem_bodies import PROBLEM_BODIES, Incomplete, NotYetCounted, Problem, UnknownWord
from app.web.access.scopes import is_limited, needed_scope
from app.web.formats import CSV, NDJSON, header_name
from app.web.problems import MEDIA_TYPE
from app.web.resource import Resource
from app.web.resources.state import STORES
from app.web.resources.top import DEFAULT_K, MAX_K
from app.web.resources.words import DEFAULT_LIMIT, MAX_LIMIT
from app.web.responses import REVALIDATED, json_response
from app.web.terms import AFTER_PATTERN, MOST_LAG_RECORDS, MOST_WAIT_MS
from app.web.terms import NAMES as TERMS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_BEARER: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of the worker's `WORDCOUNT_TOKENS_FILE`. Without that setting no resource needs one; with it, a resource "
    "needs a token with the scope that it names.",
}
_CURSOR: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
_SCHEMAS = "#/components/schemas/"
_RESPONSES = "#/components/responses/"
_PARAMETERS = "#/components/parameters/"
_COUNTING = (400, 422, 503, 504)
"""Statuses besides 200 that every resource with counts may answer."""


def document(version: Version) -> Schema:
    """Return the whole OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wordcount",
            "version": version.version,
            "description": "Exact word counts of a Kafka topic. Every answer is durable, and says how fresh "
            "(`as_of`: partition -> next offset to count) and how complete it is. What takes GET also takes HEAD.",
        },
        "paths": _with_access(_paths()),
        "components": {
            "securitySchemes": {"bearer": _BEARER},
            "schemas": _schemas(),
            "responses": {
                kind.__name__: _body(kind, MEDIA_TYPE)
                for kind in (Problem, UnknownWord, Incomplete, NotYetCounted)
            },
            "parameters": _terms(),
        },
    }


def routes(version: Version) -> list[Resource]:
    """Return the route of the document."""
    content = document(version)

    async def get_openapi(_: Request) -> Response:
        return json_response(content, headers=REVALIDATED)

    return [Resource("/openapi.json", get_openapi)]


def _paths() -> Schema:
    word = _parameter("path", "word", _TEXT, 'Percent-encoded UTF-8; any character, also "/" and NUL.')
    prefix = _parameter(
        "query", "prefix", _TEXT, "Only words that start with this text, which is not normalised."
    )
    limit = _parameter("query", "limit", _number(DEFAULT_LIMIT, MAX_LIMIT), "Most words in the page.")
    cursor = _parameter("query", "cursor", _CURSOR, "`next_cursor` of the page before, of the same prefix.")
    k = _parameter("query", "k", _number(DEFAULT_K, MAX_K), "How many words.")
    exact = _parameter(
        "query",
        "exact",
        {"type": "boolean", "default": False},
        "Whether to go through all words if nothing less proves which words are the most frequent; 503 if that takes too long.",
    )
    terms = [{"$ref": _PARAMETERS + name} for name in TERMS]
    return {
        "/": {"get": _get("A live page for people.", _media("text/html", _TEXT, "The page."))},
        "/v1/words": {
            "get": _get(
                "Words in the byte order of UTF-8, page by page; as NDJSON or CSV without `limit`, all words in one answer.",
                _list(Words),
                [prefix, limit, cursor, *terms],
                [*_COUNTING, 406],
            )
        },
        "/v1/words:batch": {
            "post": {
                **_get(
                    "The counts of many words, all as of the same positions.",
                    _list(Counts),
                    terms,
                    [*_COUNTING, 406, 413, 415],
                    kept=False,
                ),
                "requestBody": {**_body(WordsAsked), "required": True},
            }
        },
        "/v1/words/{word}": {
            "get": _get(
                "The count of one word, which is first normalised as the tokeniser does.",
                _body(Word),
                [word, *terms],
                [*_COUNTING, 404],
            )
        },
        "/count/{word}/": {
            "get": _get(
                "The count of one word, as the stock Faust example answers.",
                _fresh_by_headers(_media("application/json", msgspec.json.schema(StockCount), "The count.")),
                [word, *terms],
                [*_COUNTING, 404],
            )
        },
        "/v1/top": {
            "get": _get(
                "The most frequent words: count descending, then word ascending.",
                _list(Top),
                [k, exact, *terms],
                [*_COUNTING, 406],
            )
        },
        "/v1/stats": {
            "get": _get("Totals, and state and position of each partition.", _body(Stats), terms, _COUNTING)
        },
        "/v1/assignments": {
            "get": _get("Which worker counts and follows which partition.", _body(AssignmentMap), kept=False)
        },
        **_state(terms),
        "/livez": {"get": _get("Liveness probe: whether the process is alive.", _body(Liveness), kept=False)},
        "/readyz": {
            "get": _get(
                "Readiness probe: whether the worker should be asked.",
                _body(Readiness),
                others={"503": _body(Readiness)},
                kept=False,
            )
        },
        "/metrics": {
            "get": _get(
                "Metrics, as OpenMetrics where the client accepts it.",
                _media("text/plain", _TEXT, "Prometheus text format."),
                kept=False,
            )
        },
        "/version": {"get": _get("Versions of Wordcount, Python and Faust.", _body(Version))},
        "/openapi.json": {
            "get": _get(
                "The OpenAPI document.", _media("application/json", {"type": "object"}, "The document.")
            )
        },
    }


def _state(terms: Sequence[Schema]) -> Schema:
    """Return the paths in the shapes of Kafka Streams."""
    text = 'Percent-encoded UTF-8; "/" as %2F.'
    store = _parameter("path", "store", {"type": "string", "enum": list(STORES)}, "Name of the store.")
    key = _parameter("path", "key", _TEXT, "The word, which is first normalised as the tokeniser does.")
    first = _parameter("path", "from", _TEXT, f"First key of the range, inclusive, not normalised. {text}")
    last = _parameter("path", "to", _TEXT, f"Last key of the range, inclusive, not normalised. {text}")
    workers = _array(Instance, "The workers.")
    pairs = _fresh_by_headers(
        _array(KeyValue, "Words and their counts; freshness is in the headers, as of the first words.")
    )
    store_only = {"404": {"$ref": _RESPONSES + Problem.__name__}}
    return {
        "/state/instances": {"get": _get("All workers.", workers, [], [400])},
        "/state/instances/{store}": {
            "get": _get("The workers that answer for the store.", workers, [store], [400], store_only)
        },
        "/state/instance/{store}/{key}": {
            "get": _get(
                "A worker that answers for the key: this one, as each answers for all.",
                _body(Instance),
                [store, key],
                [400],
                store_only,
            )
        },
        "/state/keyvalue/{store}/{key}": {
            "get": _get(
                "The count of one word.",
                _fresh_by_headers(_body(KeyValue)),
                [store, key, *terms],
                _COUNTING,
                {"404": _any_of(UnknownWord, Problem)},
            )
        },
        "/state/keyvalues/{store}/all": {
            "get": _get(
                "All words, in the byte order of UTF-8.",
                pairs,
                [store, *terms],
                _COUNTING,
                store_only,
                kept=False,
            )
        },
        "/state/keyvalues/{store}/range/{from}/{to}": {
            "get": _get(
                "The words of a range, in the byte order of UTF-8.",
                pairs,
                [store, first, last, *terms],
                _COUNTING,
                store_only,
                kept=False,
            )
        },
    }


def _terms() -> Schema:
    """Return the parameters by which a client says what it demands of an answer."""
    described: dict[str, tuple[Schema, str]] = {
        "allow_partial": (
            {"type": "boolean", "default": False},
            "Whether the answer may leave partitions out; otherwise such an answer is problem `incomplete`.",
        ),
        "max_lag_records": (
            {"type": "integer", "minimum": 0, "maximum": MOST_LAG_RECORDS},
            "A follower may answer for a partition although its owner has counted more, if the follower is at most this many records "
            "of the input partition behind the partition's end. Without it an answer is the newest; from a view it is as of the last "
            "marker that the view has read.",
        ),
        "after": (
            {"type": "string", "pattern": f"^{AFTER_PATTERN}$"},
            "Partition:offset of records that the answer has to cover, with commas between: the partitions and offsets that a "
            "producer was told, each partition once. If they are not counted in time, the answer is problem `not-yet-counted`.",
        ),
        "wait_ms": (
            {"type": "integer", "minimum": 0, "maximum": MOST_WAIT_MS, "default": 0},
            "Longest time to wait until the records in `after` are counted, in ms; only with `after`.",
        ),
    }
    return {name: _parameter("query", name, *described[name]) for name in TERMS}


def _with_access(paths: Schema) -> Schema:
    """Return `paths` with what each operation needs of a client, and with the refusals of clients that lack it."""
    refused = {"$ref": _RESPONSES + Problem.__name__}
    for path, item in paths.items():
        for method, operation in item.items():
            scope = needed_scope(method.upper(), path)
            statuses = [401, 403] if scope is not None else []
            statuses += [429] if is_limited(path) else []
            operation["security"] = [] if scope is None else [{}, {"bearer": [scope]}]
            operation["responses"] |= {str(status): refused for status in statuses}
    return paths


def _schemas() -> Schema:
    _, schemas = msgspec.json.schema_components((*BODIES, *PROBLEM_BODIES), ref_template=_SCHEMAS + "{name}")
    # This version sends no other members. A client should ignore unknown members, because a later version may send more.
    return {name: {**schema, "additionalProperties": False} for name, schema in schemas.items()}


def _get(
    summary: str,
    answer: Schema,
    parameters: Sequence[Schema] = (),
    problems: Sequence[int] = (),
    others: Mapping[str, Schema] | None = None,
    *,
    kept: bool = True,
) -> Schema:
    """Return an operation; `kept` = a client may keep the answer, and ask whether it still holds."""
    refused = {"$ref": _RESPONSES + Problem.__name__}
    by_status = {
        404: {"$ref": _RESPONSES + UnknownWord.__name__},
        503: _any_of(Incomplete, Problem),
        504: {"$ref": _RESPONSES + NotYetCounted.__name__},
    }
    tag = {"ETag": {"schema": _TEXT, "description": "Tag of this answer, for `If-None-Match`."}}
    headers = {**answer.get("headers", {}), **(tag if kept else {})}
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            "200": {**answer, **({"headers": headers} if headers else {})},
            **(
                {"304": {"description": "The answer is still the one with the tag in `If-None-Match`."}}
                if kept
                else {}
            ),
            **{str(status): by_status.get(status, refused) for status in sorted(problems)},
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


def _body(kind: type[msgspec.Struct], media_type: str = "application/json") -> Schema:
    return _media(media_type, {"$ref": _SCHEMAS + kind.__name__}, inspect.getdoc(kind) or "")


def _array(kind: type[msgspec.Struct], description: str) -> Schema:
    items = {"$ref": _SCHEMAS + kind.__name__}
    return _media("application/json", {"type": "array", "items": items}, description)


def _list(kind: type[msgspec.Struct]) -> Schema:
    """Return the response with a list of words, in each of its media types."""
    response = _body(kind)
    response["content"] |= {NDJSON: {"schema": _TEXT}, CSV: {"schema": _TEXT}}
    return response


def _fresh_by_headers(answer: Schema) -> Schema:
    """Return an answer whose body has no place for freshness, with the headers that say it."""
    headers = {
        header_name(name): {
            "schema": _TEXT,
            # The others are left out where they would be too long, see `app.web.formats.header_fields`.
            "required": name == "complete",
            "description": f"`{name}` as in `{Word.__name__}`, written as for CSV: an object as `2:123,10:7`.",
        }
        for name in Freshness.__struct_fields__
    }
    return {**answer, "headers": headers}


def _any_of(*kinds: type[msgspec.Struct]) -> Schema:
    """Return the response whose body is one of `kinds`."""
    schema = {"anyOf": [{"$ref": _SCHEMAS + kind.__name__} for kind in kinds]}
    return _media(MEDIA_TYPE, schema, " ".join(inspect.getdoc(kind) or "" for kind in kinds))


def _media(media_type: str, schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}
