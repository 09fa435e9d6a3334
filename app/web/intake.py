"""The intake of texts over HTTP: who may send, how many bytes in a second, and what is reported of each request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from app.produce.receipt import Ingest, NotDeliveredError, Receipt
from app.web.access.own_pages import may_send
from app.web.access.rate_limit import RateLimit, client_of
from app.web.problems import (
    ORIGIN_NOT_ALLOWED,
    TOO_MANY_REQUESTS,
    ProblemKind,
    problem_of,
    problem_response,
)
from tables.errors import WordcountError


class IngestObserver(Protocol):
    """Reports requests with texts."""

    def ingest_requested(self, outcome: str) -> None:
        """Report a request: `accepted`, or the name of the problem with which it was answered."""
        ...

    def ingested(self, *, accepted: int, in_doubt: int, byte_count: int) -> None:
        """Report texts that were given to the brokers, and the bytes of bodies of which all texts were accepted, unpacked."""
        ...


class Intake:
    """What restricts and reports requests with texts, and what sends their texts.

    Args:
        ingest: sends texts.
        observer: reports requests; None = nobody is told.
        bytes_per_s: bytes of texts that a client may send in a second; None = no bound.
        origins: origins of pages that may send texts, besides this service's own; `*` = every origin.
    """

    def __init__(
        self,
        ingest: Ingest,
        observer: IngestObserver | None = None,
        bytes_per_s: int | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self.ingest = ingest
        self._observer = observer
        self._limit = None if bytes_per_s is None else RateLimit(bytes_per_s)
        self._origins = origins

    def refusal(self, request: Request) -> Response | None:
        """Return the refusal of a page that may not send texts, or of a client that has sent too many bytes; None = neither."""
        if not may_send(request, self._origins):
            detail = "WORDCOUNT_CORS_ORIGINS lists the origins whose pages may send texts, besides the service's own"
            return self._refused(ORIGIN_NOT_ALLOWED, detail)
        limit = self._limit
        if limit is not None and (wait_s := limit.wait_s(client_of(request.scope), 0)):
            detail = f"a client may send {limit.per_s} bytes of texts per second; send again in {wait_s} s"
            return self._refused(TOO_MANY_REQUESTS, detail, wait_s)
        return None

    def has_read(self, request: Request, byte_count: int) -> None:
        """Count the bytes of a body, unpacked, for its client: only when they have come it is known how many they are."""
        if self._limit is not None:
            self._limit.spend(client_of(request.scope), byte_count)

    def accepted(self, receipt: Receipt, byte_count: int) -> None:
        """Report a request whose texts were all accepted; `byte_count` = bytes of its body, unpacked."""
        if self._observer is not None:
            self._observer.ingest_requested("accepted")
            self._observer.ingested(accepted=receipt.accepted, in_doubt=0, byte_count=byte_count)

    def failed(self, error: WordcountError) -> None:
        """Report a request that is answered with `error`."""
        if self._observer is not None:
            self._observer.ingest_requested(problem_of(error)[0].name)
            if isinstance(error, NotDeliveredError):
                self._observer.ingested(accepted=error.accepted, in_doubt=error.in_doubt, byte_count=0)

    def _refused(self, kind: ProblemKind, detail: str, wait_s: int = 0) -> Response:
        if self._observer is not None:
            self._observer.ingest_requested(kind.name)
        return problem_response(kind, detail, {"Retry-After": str(wait_s)} if wait_s else None)
