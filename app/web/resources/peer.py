"""`/peer/v1/ask`: questions of the other workers of the same deployment, about partitions of this process only.

A question is never passed on, so that workers whose maps differ cannot ask each other in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from time import monotonic
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.printable import printable
from app.reads.local import LocalReads
from app.reads.peers import ASKER, DEPLOYMENT, MEDIA_TYPE, NONCE, PATH, PROOF, TIME_LEFT_MS, Deployment
from app.reads.proof import Proofs
from app.reads.questions import AnyQuestion, StatusAsked, WatchesAsked
from app.web.disconnection import while_connected
from app.web.ports import WatchStates
from app.web.problems import NoWatchesError, ProblemKind, TooLargeError, problem_response, wordcount_error
from app.web.request_bodies import BodyBudget
from tables.errors import WordcountError

MOST_QUESTION_BYTES: Final = 8 << 20
"""Longest question, in bytes: 10,000 words of 800 bytes."""

NO_PROOF: Final = ProblemKind(
    HTTPStatus.UNAUTHORIZED, "no-proof", "The asker does not prove that it is a worker"
)
OTHER_DEPLOYMENT: Final = ProblemKind(
    HTTPStatus.CONFLICT, "other-deployment", "This worker counts for another"
)
NO_QUESTION: Final = ProblemKind(HTTPStatus.BAD_REQUEST, "no-question", "The question cannot be understood")

_REMEDY: Final = "give all workers of the deployment the same WORDCOUNT_PEER_SECRET"

_LONGEST_MS: Final = 60_000
_ANSWER_SHARE: Final = 0.9
"""Share of the time that the asker has left; the rest is for the way of the answer."""

_decoder = msgspec.msgpack.Decoder(AnyQuestion)


class Answers(Protocol):
    """What this module needs of a worker."""

    @property
    def local(self) -> LocalReads:
        """Answers questions over partitions of this process."""

    @property
    def proofs(self) -> Proofs:
        """Makes and checks the proofs between workers."""

    @property
    def deployment(self) -> Deployment:
        """The group and topic that are counted."""


def routes(answers: Answers, bodies: BodyBudget, watches: WatchStates | None = None) -> Sequence[Route]:
    """Return the route for questions of other workers.

    Args:
        answers: answers about partitions of this process.
        bodies: bounds the bytes of all bodies.
        watches: how watches stand; None = there are none.
    """

    async def ask(request: Request) -> Response:
        mine = str(answers.deployment)
        headers = {DEPLOYMENT: mine}
        if (theirs := request.headers.get(DEPLOYMENT, "")) != mine:
            detail = f'the question is for "{printable(theirs[:200])}", this worker counts for "{mine}"'
            return problem_response(OTHER_DEPLOYMENT, detail, headers)
        if not answers.proofs.holds(
            request.headers.get(ASKER, ""), "asker", request.headers.get(NONCE, ""), b""
        ):
            # Before the body is read: strangers must not fill the memory for questions.
            return problem_response(NO_PROOF, _REMEDY, headers)
        try:
            async with bodies.body_of(request, MOST_QUESTION_BYTES) as body:
                return await answer_of(request, body, headers)
        except TooLargeError:
            return problem_response(NO_QUESTION, f"it is longer than {MOST_QUESTION_BYTES} bytes", headers)
        except WordcountError as error:
            refusal = await wordcount_error(request, error)
            refusal.headers[DEPLOYMENT] = mine
            return refusal

    async def answer_of(request: Request, body: bytes, headers: dict[str, str]) -> Response:
        nonce = request.headers.get(NONCE, "")
        if not answers.proofs.holds(request.headers.get(PROOF, ""), "question", nonce, body):
            return problem_response(NO_PROOF, _REMEDY, headers)
        try:
            question = _decoder.decode(body)
            left_ms = int(request.headers.get(TIME_LEFT_MS, ""))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            return problem_response(NO_QUESTION, f"{error}", headers)
        if isinstance(question, StatusAsked):
            told: object = answers.local.status()
        elif isinstance(question, WatchesAsked):
            if watches is None:
                raise NoWatchesError(
                    "this worker has no watches", "give all workers the same WORDCOUNT_WATCHES"
                )
            told = watches.here()
        else:
            end_s = monotonic() + min(max(left_ms, 0), _LONGEST_MS) / 1000 * _ANSWER_SHARE
            told = await while_connected(request, answers.local.ask(question, end_s, end_s))
        answer = msgspec.msgpack.encode(told)
        headers[PROOF] = answers.proofs.proof("answer", nonce, answer)
        return Response(answer, headers=headers, media_type=MEDIA_TYPE)

    return [Route(PATH, ask, methods=["POST"])]
