"""Pages of other origins: the headers by which a browser lets them read the answers (CORS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from app.web.formats import HEADER_NAMES
from app.web.problems import ORIGIN_NOT_ALLOWED, problem_response
from app.web.responses import HEADERS


class Cors(CORSMiddleware):
    """Starlette's CORS for these resources: tokens may be sent, cookies do not exist.

    Args:
        app: the application that answers.
        origins: origins whose pages may read the answers; `*` = pages of every origin.
    """

    def __init__(self, app: Any, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("Authorization", "If-None-Match", "Idempotency-Key", "Content-Encoding"),
            expose_headers=("Retry-After", "WWW-Authenticate", "ETag", *HEADER_NAMES),
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer the question of a browser whether a page may send a request; a refusal is a problem document."""
        answer = super().preflight_response(request_headers)
        if answer.status_code != 200:
            detail = (
                "the page's origin, or the method or a header of its request, is not allowed; "
                "WORDCOUNT_CORS_ORIGINS lists the allowed origins"
            )
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.startswith(("access-control", "vary"))
            }
            return problem_response(ORIGIN_NOT_ALLOWED, detail, kept)
        answer.headers.update(HEADERS)
        return answer
