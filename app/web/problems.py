"""Errors over HTTP: which status code and which RFC 9457 problem document each error becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.printable import printable
from app.problem_bodies import PROBLEM_TYPE, Incomplete, NotDelivered, NotYetCounted, Problem, UnknownWord
from app.produce.receipt import IngestOffError, NotDeliveredError, TextTooLongError
from app.reads.answers import Answer, IncompleteError, NotCountedYetError
from app.reads.window_answers import NoWindowError, UnknownWindowError, WindowExpiredError
from app.web.responses import freshness, json_response
from tables import errors

RETRY_AFTER_S = 1
MEDIA_TYPE = "application/problem+json"


class OutOfRangeError(errors.BadRequestError):
    """A query parameter that is well formed, but has a value that cannot be used."""


class NotAcceptableError(errors.BadRequestError):
    """A request that accepts no media type of the resource."""


class MediaTypeError(errors.BadRequestError):
    """A body in a media type or content coding that the resource does not take."""


class TooLargeError(errors.BadRequestError):
    """A body with more bytes than any body may have."""


class TooManyStreamsError(errors.OverloadedError):
    """A client that would watch a question while as many clients do already as may."""


class NoWatchesError(errors.WordcountError):
    """Watches are asked for in a process that has none."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem.

    Attributes:
        status: HTTP status code.
        name: last part of the problem's type URI; clients may rely on it.
        title: the same for every occurrence.
        retry: whether the same request may succeed a moment later.
    """

    status: int
    name: str
    title: str
    retry: bool = False

    @property
    def type(self) -> str:
        """The URI that names the kind."""
        return PROBLEM_TYPE + self.name


UNKNOWN_WORD = ProblemKind(404, "unknown-word", "The word does not occur")
UNEXPECTED = ProblemKind(500, "unexpected", "Unexpected error")
MALFORMED = ProblemKind(400, "malformed", "The request is not HTTP as RFC 9112 has it")
UNAUTHORIZED = ProblemKind(401, "unauthorized", "A token is needed")
FORBIDDEN = ProblemKind(403, "forbidden", "The token does not allow this")
ORIGIN_NOT_ALLOWED = ProblemKind(400, "origin-not-allowed", "Pages of this origin may not ask this")
TOO_SLOW = ProblemKind(408, "too-slow", "The request did not arrive in time")
HOST_NOT_ALLOWED = ProblemKind(421, "host-not-allowed", "This service is not known by that name")
TOO_MANY_REQUESTS = ProblemKind(429, "too-many-requests", "The client sends too many requests", retry=True)
HEAD_TOO_LARGE = ProblemKind(431, "head-too-large", "The path or the headers are too large")
NOT_IMPLEMENTED = ProblemKind(501, "not-implemented", "The transfer coding is not known")
TOO_MANY_CONNECTIONS = ProblemKind(503, "too-many-connections", "Too many connections", retry=True)
UNKNOWN_STORE = ProblemKind(404, "unknown-store", "There is no store of that name")
OTHERS = (
    *(UNKNOWN_WORD, UNKNOWN_STORE, UNEXPECTED, MALFORMED, TOO_SLOW, HOST_NOT_ALLOWED, HEAD_TOO_LARGE),
    *(NOT_IMPLEMENTED, UNAUTHORIZED, FORBIDDEN, ORIGIN_NOT_ALLOWED, TOO_MANY_REQUESTS, TOO_MANY_CONNECTIONS),
)
"""Problems that no `WordcountError` leads to."""

_UNEXPECTED_DETAIL = "the log of the service says more"
_ROUTER_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is no such resource; /openapi.json lists all",
    HTTPStatus.METHOD_NOT_ALLOWED: "this resource does not take this method; see Allow",
}

PROBLEMS: dict[type[errors.WordcountError], ProblemKind] = {
    errors.WordcountError: ProblemKind(500, "failed", "The request failed"),
    errors.ConfigurationError: ProblemKind(500, "configuration", "The service is not configured correctly"),
    errors.BadRequestError: ProblemKind(400, "bad-request", "The request cannot be understood"),
    OutOfRangeError: ProblemKind(422, "out-of-range", "A parameter's value cannot be used"),
    NotAcceptableError: ProblemKind(406, "not-acceptable", "No media type of the resource is accepted"),
    MediaTypeError: ProblemKind(415, "unsupported-media-type", "The media type of the body cannot be used"),
    TooLargeError: ProblemKind(413, "content-too-large", "The body is too large"),
    TextTooLongError: ProblemKind(413, "text-too-long", "A text is longer than a record may be"),
    IngestOffError: ProblemKind(403, "ingest-off", "No texts are taken here"),
    NotDeliveredError: ProblemKind(
        503, "not-delivered", "The brokers have not confirmed all texts", retry=True
    ),
    IncompleteError: ProblemKind(503, "incomplete", "Partitions do not answer", retry=True),
    UnknownWindowError: ProblemKind(404, "unknown-window", "No windows of this size are counted"),
    NoWatchesError: ProblemKind(404, "no-watches", "There are no watches here"),
    NoWindowError: ProblemKind(404, "no-window", "There is no such window yet"),
    WindowExpiredError: ProblemKind(410, "window-gone", "The window is not kept any more"),
    NotCountedYetError: ProblemKind(504, "not-yet-counted", "The records are not counted yet", retry=True),
    errors.NotReadyError: ProblemKind(503, "not-ready", "No answer yet", retry=True),
    errors.OverloadedError: ProblemKind(503, "overloaded", "Too many queries wait", retry=True),
    TooManyStreamsError: ProblemKind(503, "too-many-streams", "Too many streams are open", retry=True),
    errors.QueryTimeoutError: ProblemKind(503, "query-timeout", "No answer in time", retry=True),
    errors.BrokerUnavailableError: ProblemKind(503, "broker-unavailable", "No broker answers", retry=True),
    errors.StateLockedError: ProblemKind(503, "state-locked", "The state is in use by another process"),
    errors.StoreCorruptedError: ProblemKind(503, "store-corrupted", "State is being rebuilt", retry=True),
    errors.StoreFullError: ProblemKind(503, "store-full", "The disk is full"),
    errors.StoreUnavailableError: ProblemKind(
        503, "store-unavailable", "The system refuses what a store needs"
    ),
    errors.OutOfMemoryError: ProblemKind(503, "out-of-memory", "The process has no memory left"),
    errors.PartitionsLostError: ProblemKind(503, "partitions-lost", "Partitions have moved", retry=True),
    errors.FlushUnknownError: ProblemKind(503, "flush-unknown", "A flush is being examined", retry=True),
    errors.ForeignRecordsError: ProblemKind(
        503, "foreign-records", "A changelog is being examined", retry=True
    ),
    errors.ForeignChangelogError: ProblemKind(
        503, "foreign-changelog", "The changelog is another deployment's"
    ),
    errors.ChangelogReplacedError: ProblemKind(
        503, "changelog-replaced", "State is being rebuilt", retry=True
    ),
    errors.StalledError: ProblemKind(503, "stalled", "Counting stands still", retry=True),
    errors.InexactError: ProblemKind(503, "inexact", "Counts are no longer exact; an operator has to decide"),
}


def problem_response(kind: ProblemKind, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response that describes one occurrence of a kind of problem."""
    return _response(kind, Problem(kind.type, kind.title, kind.status, detail), headers)


def absent_word_response(word: str, answer: Answer[object]) -> Response:
    """Return the response for a word that was not found: problem `unknown-word` if `answer` is complete, else `incomplete`.

    A partition that is missing may hold the word, so nobody can say that the word is unknown.
    """
    if answer.complete:
        kind = UNKNOWN_WORD
        detail = "the word does not occur in any partition, up to the offsets in as_of"
        return _response(
            kind, UnknownWord(kind.type, kind.title, kind.status, detail, word, **freshness(answer))
        )
    kind = PROBLEMS[IncompleteError]
    detail = "the word does not occur in the partitions that answer, and may occur in the others; ask again"
    reasons = dict(sorted(answer.missing_partitions.items()))
    return _response(kind, Incomplete(kind.type, kind.title, kind.status, detail, list(reasons), reasons))


def problem_of(error: errors.WordcountError) -> tuple[ProblemKind, Problem]:
    """Return the kind of problem that `error` is, by the closest class in `PROBLEMS`, and its document."""
    kind = next(PROBLEMS[parent] for parent in type(error).__mro__ if parent in PROBLEMS)
    members = (kind.type, kind.title, kind.status, str(error))
    if isinstance(error, IncompleteError):
        return kind, Incomplete(*members, list(error.reasons), error.reasons)
    if isinstance(error, NotCountedYetError):
        return kind, NotYetCounted(*members, error.as_of)
    if isinstance(error, NotDeliveredError):
        return kind, NotDelivered(*members, error.accepted, error.in_doubt)
    return kind, Problem(*members)


def problem_of_any(error: Exception) -> Problem:
    """Return the document of any error, where an answer has begun and its status cannot say more."""
    if isinstance(error, errors.WordcountError):
        return problem_of(error)[1]
    return Problem(UNEXPECTED.type, UNEXPECTED.title, UNEXPECTED.status, _UNEXPECTED_DETAIL)


async def wordcount_error(_: Request, error: Exception) -> Response:
    """Return the problem of a `WordcountError`."""
    if not isinstance(error, errors.WordcountError):
        raise error
    return _response(*problem_of(error))


async def http_error(request: Request, error: Exception) -> Response:
    """Return the problem of an error that the router raised: there is no such path, or the path does not take this method."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    kind = ProblemKind(status, status.phrase.lower().replace(" ", "-"), status.phrase)
    path = printable(request.scope["path"][:200])
    detail = f"{request.method} {path}: {_ROUTER_DETAILS.get(status, status.description)}"
    return problem_response(kind, detail, error.headers)


async def unexpected_error(_: Request, __: Exception) -> Response:
    """Return the problem of any other error. The answer does not contain the error's text; only the log does."""
    return problem_response(UNEXPECTED, _UNEXPECTED_DETAIL)


def _response(
    kind: ProblemKind, body: Problem | UnknownWord, headers: Mapping[str, str] | None = None
) -> Response:
    retry = {"Retry-After": str(RETRY_AFTER_S)} if kind.retry else {}
    return json_response(body, kind.status, {**retry, **(headers or {})}, MEDIA_TYPE)
