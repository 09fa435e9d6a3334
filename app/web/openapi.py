"""`/openapi.json`: the API in OpenAPI 3.1. Schemas are made from `app.bodies`; a test compares the paths with the routes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.bodies import (
    BODIES,
    AssignmentMap,
    Counts,
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
from app.text_bodies import TEXT_BODIES, TextAsked, Tokens
from app.watch_bodies import WATCH_BODIES, Watches
from app.web.access.scopes import is_limited, needed_scope
from app.web.openapi_parts import (
    COUNTING,
    PARAMETERS,
    RESPONSES,
    SCHEMAS,
    TEXT,
    Schema,
    any_of,
    array_of,
    asked,
    body_of,
    fresh_by_headers,
    list_of,
    media,
    number,
    parameter,
)
from app.web.openapi_stream import stream_paths
from app.web.openapi_texts import text_paths
from app.web.openapi_windows import window_paths
from app.web.problems import MEDIA_TYPE
from app.web.resource import Resource
from app.web.resources.page import file_names
from app.web.resources.state import LATEST_MS, STORE, STORES, WINDOWED
from app.web.resources.top import DEFAULT_K, MAX_K
from app.web.resources.words import DEFAULT_LIMIT, MAX_LIMIT
from app.web.responses import REVALIDATED, json_response
from app.web.terms import AFTER_PATTERN, MOST_LAG_RECORDS, MOST_WAIT_MS
from app.web.terms import NAMES as TERMS
from app.window_bodies import WINDOW_BODIES

_BEARER: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of the worker's `WORDCOUNT_TOKENS_FILE`. Without that setting no resource needs one; with it, a resource "
    "needs a token with the scope that it names.",
}
_CURSOR: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}


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
                kind.__name__: body_of(kind, MEDIA_TYPE)
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
    word = parameter("path", "word", TEXT, 'Percent-encoded UTF-8; any character, also "/" and NUL.')
    prefix = parameter(
        "query", "prefix", TEXT, "Only words that start with this text, which is not normalised."
    )
    limit = parameter("query", "limit", number(DEFAULT_LIMIT, MAX_LIMIT), "Most words in the page.")
    cursor = parameter("query", "cursor", _CURSOR, "`next_cursor` of the page before, of the same prefix.")
    k = parameter("query", "k", number(DEFAULT_K, MAX_K), "How many words.")
    exact = parameter(
        "query",
        "exact",
        {"type": "boolean", "default": False},
        "Whether to go through all words if nothing less proves which words are the most frequent; 503 if that takes too long.",
    )
    terms = [{"$ref": PARAMETERS + name} for name in TERMS]
    return {
        "/": {"get": asked("A live page for people.", media("text/html", TEXT, "The page."))},
        "/page/{file}": {
            "get": asked(
                "A file of the live page: a module of its script, a style sheet, an icon.",
                media("text/javascript", TEXT, "The file, with the media type of its kind."),
                [parameter("path", "file", {"type": "string", "enum": file_names()}, "Name of the file.")],
                others={"404": {"$ref": RESPONSES + Problem.__name__}},
            )
        },
        "/v1/words": {
            "get": asked(
                "Words in the byte order of UTF-8, page by page; as NDJSON or CSV without `limit`, all words in one answer.",
                list_of(Words),
                [prefix, limit, cursor, *terms],
                [*COUNTING, 406],
            )
        },
        "/v1/words:batch": {
            "post": {
                **asked(
                    "The counts of many words, all as of the same positions.",
                    list_of(Counts),
                    terms,
                    [*COUNTING, 406, 413, 415],
                    kept=False,
                ),
                "requestBody": {**body_of(WordsAsked), "required": True},
            }
        },
        "/v1/tokens": {
            "post": {
                **asked(
                    "The words of a text, each with its place, as a worker counts them; nothing is counted.",
                    body_of(Tokens),
                    (),
                    [400, 413, 415, 422, 503],
                    kept=False,
                ),
                "requestBody": {**body_of(TextAsked), "required": True},
            }
        },
        "/v1/words/{word}": {
            "get": asked(
                "The count of one word, which is first normalised as the tokeniser does.",
                body_of(Word),
                [word, *terms],
                [*COUNTING, 404],
            )
        },
        "/count/{word}/": {
            "get": asked(
                "The count of one word, as the stock Faust example answers.",
                fresh_by_headers(media("application/json", msgspec.json.schema(StockCount), "The count.")),
                [word, *terms],
                [*COUNTING, 404],
            )
        },
        "/v1/top": {
            "get": asked(
                "The most frequent words: count descending, then word ascending.",
                list_of(Top),
                [k, exact, *terms],
                [*COUNTING, 406],
            )
        },
        **window_paths(terms, k, exact),
        **stream_paths(prefix, limit),
        **text_paths(),
        "/v1/stats": {
            "get": asked(
                "Totals, and state, position and event time of each partition.",
                body_of(Stats),
                terms,
                COUNTING,
            )
        },
        "/v1/assignments": {
            "get": asked(
                "Which worker counts and follows which partition.", body_of(AssignmentMap), kept=False
            )
        },
        "/v1/watches": {
            "get": asked(
                "How the watches stand, and the newest crossings.",
                body_of(Watches),
                [],
                [400],
                {"404": {"$ref": RESPONSES + Problem.__name__}, "503": any_of(Problem)},
                kept=False,
            )
        },
        **_state(terms),
        "/livez": {
            "get": asked("Liveness probe: whether the process is alive.", body_of(Liveness), kept=False)
        },
        "/readyz": {
            "get": asked(
                "Readiness probe: whether the worker should be asked.",
                body_of(Readiness),
                others={"503": body_of(Readiness)},
                kept=False,
            )
        },
        "/metrics": {
            "get": asked(
                "Metrics, as OpenMetrics where the client accepts it.",
                media("text/plain", TEXT, "Prometheus text format."),
                kept=False,
            )
        },
        "/version": {"get": asked("Versions of Wordcount, Python and Faust.", body_of(Version))},
        "/openapi.json": {
            "get": asked(
                "The OpenAPI document.", media("application/json", {"type": "object"}, "The document.")
            )
        },
    }


def _state(terms: Sequence[Schema]) -> Schema:
    """Return the paths in the shapes of Kafka Streams."""
    text = 'Percent-encoded UTF-8; "/" as %2F.'
    store = parameter("path", "store", {"type": "string", "enum": [STORE]}, "Name of the store.")
    key = parameter("path", "key", TEXT, "The word, which is first normalised as the tokeniser does.")
    first = parameter("path", "from", TEXT, f"First key of the range, inclusive, not normalised. {text}")
    last = parameter("path", "to", TEXT, f"Last key of the range, inclusive, not normalised. {text}")
    instances = parameter("path", "store", {"type": "string", "enum": list(STORES)}, "Name of the store.")
    windowed = parameter("path", "store", {"type": "string", "enum": [WINDOWED]}, "Name of the store.")
    time_ms = {"type": "integer", "minimum": 0, "maximum": LATEST_MS}
    bounds = [
        parameter("path", "from", time_ms, "Beginning of the first window, inclusive, in ms since 1970."),
        parameter("path", "to", time_ms, "Beginning of the last window, inclusive, in ms since 1970."),
    ]
    workers = array_of(Instance, "The workers.")
    pairs = fresh_by_headers(
        array_of(KeyValue, "Words and their counts; freshness is in the headers, as of the first words.")
    )
    store_only = {"404": {"$ref": RESPONSES + Problem.__name__}}
    return {
        "/state/instances": {"get": asked("All workers.", workers, [], [400])},
        "/state/instances/{store}": {
            "get": asked("The workers that answer for the store.", workers, [instances], [400], store_only)
        },
        "/state/instance/{store}/{key}": {
            "get": asked(
                "A worker that answers for the key: this one, as each answers for all.",
                body_of(Instance),
                [instances, key],
                [400],
                store_only,
            )
        },
        "/state/keyvalue/{store}/{key}": {
            "get": asked(
                "The count of one word.",
                fresh_by_headers(body_of(KeyValue)),
                [store, key, *terms],
                COUNTING,
                {"404": any_of(UnknownWord, Problem)},
            )
        },
        "/state/keyvalues/{store}/all": {
            "get": asked(
                "All words, in the byte order of UTF-8.",
                pairs,
                [store, *terms],
                COUNTING,
                store_only,
                kept=False,
            )
        },
        "/state/windowed/{store}/{key}/{from}/{to}": {
            "get": asked(
                "The counts of a word in the minutes that begin in a range of time; minutes without the word are left out.",
                pairs,
                [windowed, key, *bounds, *terms],
                COUNTING,
                {"404": any_of(Problem)},
            )
        },
        "/state/keyvalues/{store}/range/{from}/{to}": {
            "get": asked(
                "The words of a range, in the byte order of UTF-8.",
                pairs,
                [store, first, last, *terms],
                COUNTING,
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
    return {name: parameter("query", name, *described[name]) for name in TERMS}


def _with_access(paths: Schema) -> Schema:
    """Return `paths` with what each operation needs of a client, and with the refusals of clients that lack it."""
    refused = {"$ref": RESPONSES + Problem.__name__}
    for path, item in paths.items():
        for method, operation in item.items():
            scope = needed_scope(method.upper(), path)
            statuses = [401, 403] if scope is not None else []
            statuses += [429] if is_limited(path) else []
            operation["security"] = [] if scope is None else [{}, {"bearer": [scope]}]
            operation["responses"] |= {str(status): refused for status in statuses}
    return paths


def _schemas() -> Schema:
    _, schemas = msgspec.json.schema_components(
        (*BODIES, *TEXT_BODIES, *WINDOW_BODIES, *WATCH_BODIES, *PROBLEM_BODIES),
        ref_template=SCHEMAS + "{name}",
    )
    # This version sends no other members. A client should ignore unknown members, because a later version may send more.
    return {name: {**schema, "additionalProperties": False} for name, schema in schemas.items()}
