"""`/state`: counts in the shapes of Kafka Streams' interactive queries, so that a client of its word-count example can ask here.

There an instance answers for its own share of the words, and a client looks for the instance that has a key. Here every worker answers
for all partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import Instance, KeyValue
from app.printable import printable
from app.reads.answers import Queries
from app.web.disconnection import while_connected
from app.web.dumps import KeyValues, Wanted, dump_response
from app.web.formats import freshness_headers
from app.web.parameters import decoded, path_word, query_parameters
from app.web.problems import UNKNOWN_STORE, absent_word_response, problem_response
from app.web.resource import Resource
from app.web.responses import REVALIDATED, json_response
from app.web.terms import NAMES, terms_of
from tables.errors import BadRequestError

STORE: Final = "word-count"
STORES: Final = (STORE,)

Workers = Callable[[], Sequence[tuple[str, int]]]


def routes(
    queries: Queries, normalise: Callable[[str], str], workers: Workers | None = None
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

    by_path = {
        "/state/instances/{store}": list_instances,
        "/state/instance/{store}/{key:path}": find_instance,
        "/state/keyvalue/{store}/{key:path}": get_value,
        "/state/keyvalues/{store}/all": list_all,
        "/state/keyvalues/{store}/range/{from:path}/{to:path}": list_range,
    }
    of_stores = [Resource(path, _of_known_store(endpoint)) for path, endpoint in by_path.items()]
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


def _of_known_store(endpoint: Callable[[Request], object]) -> Callable[[Request], object]:
    async def checked(request: Request) -> Response:
        store = request.path_params["store"]
        if store != STORE:
            detail = f'there is no store "{printable(store[:100])}"; there is {", ".join(STORES)}'
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
