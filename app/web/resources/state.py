"""`/state`: counts in the shapes of Kafka Streams' interactive queries, so that a client of its word-count example can ask here.

There an instance answers for its own share of the words, and a client looks for the instance that has a key. Here every worker answers
for all partitions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import Instance, KeyValue
from app.printable import printable
from app.reads.window_answers import AllQueries, WindowSize
from app.web.disconnection import while_connected
from app.web.dumps import KeyValues, Wanted, dump_response
from app.web.formats import freshness_headers
from app.web.parameters import decoded, path_word, query_parameters
from app.web.problems import UNKNOWN_STORE, OutOfRangeError, absent_word_response, problem_response
from app.web.resource import Resource
from app.web.responses import REVALIDATED, json_response
from app.web.terms import NAMES, terms_of
from tables.errors import BadRequestError

STORE: Final = "word-count"
WINDOWED: Final = "windowed-word-count"
WINDOW: Final = WindowSize(60, 60)
"""Windows of the store `WINDOWED`: one minute, as in the example."""

STORES: Final = (STORE, WINDOWED)

LATEST_MS: Final = 253_402_300_799_999

Workers = Callable[[], Sequence[tuple[str, int]]]


def routes(
    queries: AllQueries, normalise: Callable[[str], str], workers: Workers | None = None
) -> list[Resource]:
    """Return the routes of `/state`.

    Args:
        queries: answers questions about counts.
        normalise: normalises a key as the tokeniser's profile does, so that "The" finds "the". Bounds of a range are compared as they
            are, because a bound need not be a word.
        workers: returns host and port of all workers, this worker first; None = this worker alone, by the address that was asked.
    """

    def instances(request: Request) -> list[Instance]:
        known = workers() if workers is not None else ()
        return [Instance(host, port, list(STORES)) for host, port in known or [_asked(request)]]

    async def list_instances(request: Request) -> Response:
        query_parameters(request)
        return json_response(instances(request), headers=REVALIDATED)

    async def find_instance(request: Request) -> Response:
        query_parameters(request)
        return json_response(instances(request)[0], headers=REVALIDATED)

    async def get_value(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        key = normalise(path_word(request, f"/state/keyvalue/{STORE}/"))
        answer = await while_connected(request, queries.get(key, terms))
        if answer.value is None:
            return absent_word_response(key, answer)
        headers = {**REVALIDATED, **freshness_headers(answer)}
        return json_response(KeyValue(key, answer.value), headers=headers)

    async def list_all(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        return await dump_response(request, queries, Wanted(), terms, KeyValues())

    async def list_range(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        first, last = _bounds(request)
        wanted = Wanted(after=word_before(first), first=first, last=last)
        return await dump_response(request, queries, wanted, terms, KeyValues())

    async def list_windows(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        text, first_s, points = _windows(request)
        key = normalise(text)
        answer = await while_connected(
            request,
            queries.windows.series(key, WINDOW, points=points, start_s=first_s, is_clipped=True, terms=terms),
        )
        found = zip(answer.value.starts, answer.value.counts, strict=True)
        pairs = [KeyValue(f"{key}@{start_s * 1000}", count) for start_s, count in found if count]
        return json_response(pairs, headers={**REVALIDATED, **freshness_headers(answer)})

    by_path = {
        "/state/instances/{store}": (list_instances, STORES),
        "/state/instance/{store}/{key:path}": (find_instance, STORES),
        "/state/keyvalue/{store}/{key:path}": (get_value, (STORE,)),
        "/state/keyvalues/{store}/all": (list_all, (STORE,)),
        "/state/keyvalues/{store}/range/{from:path}/{to:path}": (list_range, (STORE,)),
        "/state/windowed/{store}/{key:path}/{from}/{to}": (list_windows, (WINDOWED,)),
    }
    of_stores = [
        Resource(path, _of_known_store(endpoint, stores)) for path, (endpoint, stores) in by_path.items()
    ]
    return [Resource("/state/instances", list_instances), *of_stores]


def word_before(word: str) -> str | None:
    """Return a text that sorts before `word`, with at most a few words between the two; None if no text does.

    The text of a page's cursor is exclusive, a bound of a range is inclusive.
    """
    if not word:
        return None
    last = ord(word[-1])
    if not last:
        return word[:-1]
    before = 0xD7FF if last == 0xE000 else last - 1
    return word[:-1] + chr(before) + "\U0010ffff"


def _asked(request: Request) -> tuple[str, int]:
    """Return the address of this worker that the client has reached."""
    host, port = request.scope["server"]
    return host, port or (443 if request.url.scheme == "https" else 80)


def _of_known_store(
    endpoint: Callable[[Request], object], stores: Sequence[str]
) -> Callable[[Request], object]:
    async def checked(request: Request) -> Response:
        store = request.path_params["store"]
        if store not in stores:
            kind = " of this kind" if store in STORES else ""
            detail = f'there is no store "{printable(store[:100])}"{kind}; there is {", ".join(stores)}'
            return problem_response(UNKNOWN_STORE, detail)
        response: Response = await endpoint(request)  # type: ignore[misc]
        return response

    return checked


def _bounds(request: Request) -> tuple[str, str]:
    """Return the bounds of a range, both inclusive.

    Raises:
        BadRequestError: the bounds are not percent-encoded UTF-8, or not two.
    """
    path: bytes = request.scope["raw_path"]
    bounds = path.removeprefix(f"/state/keyvalues/{STORE}/range/".encode()).split(b"/")
    if len(bounds) != 2:
        raise BadRequestError("the range has not two bounds", "encode / in a bound as %2F")
    first, last = (decoded(bound, "the path") for bound in bounds)
    return first, last


def _windows(request: Request) -> tuple[str, int, int]:
    """Return the key, the beginning of the first window from `from` on, and the number of windows that begin up to `to`.

    Raises:
        BadRequestError: the path is not a key and two times.
        OutOfRangeError: the times are not in order.
    """
    path: bytes = request.scope["raw_path"]
    parts = path.removeprefix(f"/state/windowed/{WINDOWED}/".encode()).split(b"/")
    if len(parts) != 3 or not all(re.fullmatch(rb"[0-9]{1,15}", part) for part in parts[1:]):
        raise BadRequestError(
            "the path is not a key and two times",
            "give times in milliseconds since 1970, and encode / in a key as %2F",
        )
    first_ms, last_ms = int(parts[1]), int(parts[2])
    if not first_ms <= last_ms <= LATEST_MS:
        raise OutOfRangeError(
            f"the windows are from {first_ms} to {last_ms}", "give times in order, up to 9999"
        )
    first_s = -(-first_ms // (WINDOW.size_s * 1000)) * WINDOW.size_s
    points = (last_ms // 1000 - first_s) // WINDOW.size_s + 1
    return decoded(parts[0], "the path"), first_s, max(0, points)
