"""All words in one answer: pages of words one behind the other, each asked for when the client has read the former ones.

Each count is exact as of the `as_of` of its page. A dump that cannot be ended breaks off visibly: HTTP/1.1 ends a body of unknown
length with a last chunk, which is then not sent. NDJSON says the reason in its last line. Headers are sent before the first word, so
a dump whose freshness stands there also breaks off at a page that lacks a partition which the headers promise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.bodies import CountedWord, DumpEnd, KeyValue
from app.problem_bodies import BrokenDump
from app.reads.answers import Answer, IncompleteError, Queries, Terms, WordPage
from app.web.disconnection import while_connected
from app.web.formats import CONTENT_TYPES, CSV, CSV_HEADER, JSON, NDJSON, VARY, csv_rows, freshness_headers
from app.web.parameters import cursor_after
from app.web.problems import UNEXPECTED, problem_of
from app.web.responses import HEADERS, FreshnessMembers, freshness
from app.web.streams import BrokenStreamError, Stream
from tables.errors import BadRequestError, WordcountError

PAGE_WORDS = 1000
"""Words of one page: the most that a dump holds in memory."""

PART_BYTES = 32_768
"""Words of about this size are sent at a time, so that the time for reading an answer runs anew for each part."""

Rows = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which words a dump has.

    Attributes:
        prefix: text that all words start with; "" = every word.
        after: a word; only words that sort after it. None = from the first word on.
        first: only words from this one on, inclusive.
        last: only words up to this one, inclusive; None = to the last word.
    """

    prefix: str = ""
    after: str | None = None
    first: str = ""
    last: str | None = None


class Format(Protocol):
    """A way to write a dump."""

    content_type: str
    headers: bool
    """Whether freshness is told in headers, as of the first page, because the body has no place for it."""

    def begin(self) -> bytes:
        """Return what stands before the first word."""
        ...

    def rows(self, words: Rows) -> bytes:
        """Return some words with their counts."""
        ...

    def end(self, count: int, first: Answer[WordPage], last: FreshnessMembers) -> bytes:
        """Return what stands after the last of `count` words; `last` says which partitions were missing in any page."""
        ...

    def broken(self, error: Exception, cursor: str | None) -> bytes:
        """Return what a client can read of an error in the midst; `cursor` leads on."""
        ...


class Lines:
    """NDJSON: a line per word, and a last line with freshness or a problem."""

    content_type = CONTENT_TYPES[NDJSON]
    headers = False

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def begin(self) -> bytes:
        """See `Format`."""
        return b""

    def rows(self, words: Rows) -> bytes:
        """See `Format`."""
        return self._encoder.encode_lines([CountedWord(word, count) for word, count in words])

    def end(self, count: int, first: Answer[WordPage], last: FreshnessMembers) -> bytes:
        """See `Format`."""
        first_as_of = {number: first.as_of[number] for number in last["as_of"] if number in first.as_of}
        return self._encoder.encode_lines([DumpEnd(count, first_as_of, None, **last)])

    def broken(self, error: Exception, cursor: str | None) -> bytes:
        """See `Format`."""
        if isinstance(error, WordcountError):
            _, problem = problem_of(error)
            members = (problem.type, problem.title, problem.status, problem.detail)
        else:
            members = (
                UNEXPECTED.type,
                UNEXPECTED.title,
                UNEXPECTED.status,
                "the log of the service says more",
            )
        return self._encoder.encode_lines([BrokenDump(*members, cursor)])


class Table:
    """CSV: a row per word."""

    content_type = CONTENT_TYPES[CSV]
    headers = True

    def begin(self) -> bytes:
        """See `Format`."""
        return CSV_HEADER

    def rows(self, words: Rows) -> bytes:
        """See `Format`."""
        return csv_rows(words)

    def end(self, *_: Any) -> bytes:
        """See `Format`."""
        return b""

    broken = end


class KeyValues:
    """A JSON array of keys and values, as Kafka Streams' example answers."""

    content_type = CONTENT_TYPES[JSON]
    headers = True

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._separator = b""

    def begin(self) -> bytes:
        """See `Format`."""
        return b"["

    def rows(self, words: Rows) -> bytes:
        """See `Format`."""
        separator, self._separator = self._separator, b","
        return separator + b",".join([self._encoder.encode(KeyValue(word, count)) for word, count in words])

    def end(self, *_: Any) -> bytes:
        """See `Format`."""
        return b"]"

    def broken(self, *_: Any) -> bytes:
        """See `Format`."""
        return b""


async def dump_response(
    request: Request, queries: Queries, wanted: Wanted, terms: Terms, written: Format
) -> Response:
    """Return a response with all words that are wanted. The first page is asked for before the head is sent, and may be refused.

    Raises:
        BadRequestError: the request is HTTP/1.0, where a client cannot see that an answer breaks off.
    """
    if request.scope.get("http_version") == "1.0":
        raise BadRequestError(
            "HTTP/1.0 does not show whether an answer of unknown length is whole",
            "ask by HTTP/1.1, or page by page with limit",
        )
    ask = partial(queries.list, wanted.prefix, limit=PAGE_WORDS, terms=terms)
    first = await while_connected(request, ask(after=wanted.after))
    told = freshness_headers(first) if written.headers else {}
    varies = {} if written.content_type == JSON else VARY
    headers = {**HEADERS, **varies, **told, "Content-Type": written.content_type}
    return Stream(_parts(first, ask, wanted, written), headers)


async def _parts(
    first: Answer[WordPage], ask: Any, wanted: Wanted, written: Format
) -> AsyncGenerator[bytes, None]:
    count, answer, last = 0, first, wanted.after
    missing = dict(first.missing_partitions)
    complete = first.complete
    yield written.begin()
    try:
        while True:
            words = _between(answer.value.words, wanted)
            for some in _slices(words):
                yield written.rows(some)
                last = some[-1][0]
                # Where nothing has to be waited for, neither the client nor a store, others would wait until the last word.
                await asyncio.sleep(0)
            count += len(words)
            page = answer.value.words
            if not (answer.value.has_more and page) or (
                wanted.last is not None and page[-1][0] >= wanted.last
            ):
                break
            answer = await ask(after=page[-1][0])
            if written.headers:
                _check_told(first, answer)
            missing.update(answer.missing_partitions)
            complete = complete and answer.complete
    except Exception as error:
        yield written.broken(error, None if last is None else cursor_after(last, wanted.prefix))
        if isinstance(error, WordcountError):
            raise BrokenStreamError from error
        raise
    yield written.end(count, first, _without(missing, complete, answer))


def _check_told(first: Answer[WordPage], later: Answer[WordPage]) -> None:
    """Check that a later page has all partitions that the first page, whose freshness was sent, says to be in the dump.

    Raises:
        IncompleteError: the later page lacks such a partition.
    """
    lost = later.missing_partitions.keys() - first.missing_partitions.keys()
    if lost := lost | (first.as_of.keys() - later.as_of.keys()):
        why = "nobody has it any more"
        raise IncompleteError({number: later.missing_partitions.get(number, why) for number in lost})


def _without(missing: Collection[int], complete: bool, answer: Answer[WordPage]) -> FreshnessMembers:
    """Return what is true of all pages, of which `answer` is the last: a partition that was missing in any page is missing."""
    last = freshness(answer)
    return {
        "as_of": {number: position for number, position in last["as_of"].items() if number not in missing},
        "complete": complete,
        "missing_partitions": sorted(missing),
        "served_by": {number: role for number, role in last["served_by"].items() if number not in missing},
        "behind": {number: behind for number, behind in last["behind"].items() if number not in missing},
    }


def _between(words: Rows, wanted: Wanted) -> Rows:
    first, last = wanted.first, wanted.last
    return [row for row in words if first <= row[0] and (last is None or row[0] <= last)]


def _slices(words: Iterable[tuple[str, int]]) -> Iterator[Rows]:
    """Split words into parts of about `PART_BYTES`."""
    some: list[tuple[str, int]] = []
    size = 0
    for row in words:
        some.append(row)
        size += len(row[0])
        if size >= PART_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
