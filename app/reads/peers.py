"""The other workers as parties: asks them over kept HTTP connections, and believes only sound answers of the same deployment."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

import aiohttp
import msgspec
import structlog

from app.peer_names import DEPLOYMENT_HEADER, PEER_PATH
from app.printable import printable
from app.reads.proof import Proofs, new_nonce
from app.reads.questions import TOLD, Question, StatusAsked, Told, WatchesAsked, WorkerStatus, is_sound
from app.watch_bodies import Watches

PATH: Final = PEER_PATH
DEPLOYMENT: Final = DEPLOYMENT_HEADER
NONCE: Final = "Wordcount-Nonce"
PROOF: Final = "Wordcount-Proof"
ASKER: Final = "Wordcount-Asker"
"""Header that shows that the asker knows the secret, before its question is read."""
TIME_LEFT_MS: Final = "Wordcount-Time-Left-Ms"
MEDIA_TYPE: Final = "application/msgpack"

MOST_ANSWER_BYTES: Final = 64 << 20
"""Longest answer that is read, in bytes."""

SUSPECT_S: Final = 2.0
"""For this long after a question without an answer a worker is asked after all others that might know."""

_BUSY: Final = ("overloaded", "query-timeout")
"""Problems of a worker that does not get well by being asked again."""

_CONNECTIONS_PER_PEER: Final = 64
_KEPT_S: Final = 4.0
"""Unused connections are closed earlier than the asked worker closes them, which is after 5 s."""

_log = structlog.get_logger(__name__)


class PeerError(Exception):
    """A worker gave no answer that can be used; the text says why."""


class BusyError(PeerError):
    """A worker was too busy, or too slow, to answer; it should not be asked again for the same question."""


class OtherDeploymentError(PeerError):
    """A worker of another deployment answered."""


class PeerObserver(Protocol):
    """Is told how questions to other workers ended."""

    def peer_asked(self, outcome: str, duration_s: float) -> None:
        """Report that a question ended: "answered", "unreachable", "late" or "refused"."""
        ...


class Deployment(NamedTuple):
    """The counts that are asked for: those of a group and its input topic."""

    group: str
    topic: str

    def __str__(self) -> str:
        return f"{self.group}/{self.topic}"


class Peers:
    """Asks other workers. Used from one event loop.

    Args:
        deployment: an answer of another deployment is refused.
        proofs: proves questions, and checks the proofs of answers.
        observer: is told how each question ended.
        tls: returns the TLS context for workers whose URL begins with https; True = the authorities of the system.
    """

    def __init__(
        self,
        deployment: Deployment,
        proofs: Proofs,
        observer: PeerObserver,
        tls: Callable[[], ssl.SSLContext | bool] = lambda: True,
    ) -> None:
        self._deployment = deployment
        self._proofs = proofs
        self._observer = observer
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._failed_s: dict[str, float] = {}

    def is_suspect(self, url: str) -> bool:
        """Return whether the worker at `url` has left a question unanswered a moment ago."""
        return monotonic() - self._failed_s.get(url, float("-inf")) < SUSPECT_S

    async def ask(self, url: str, question: Question, timeout_s: float) -> Told[Any]:
        """Return what the worker at `url` tells.

        Raises:
            PeerError: there was no answer within `timeout_s` seconds, or none that can be used.
        """
        told: Told[Any] = await self._asked(url, question, timeout_s)
        if not is_sound(question, told):
            raise self._failure(url, "refused", "it answers something else than was asked")
        return told

    async def status(self, url: str, timeout_s: float) -> WorkerStatus:
        """Return what the worker at `url` does with its partitions; raise as `ask` does."""
        status: WorkerStatus = await self._asked(url, StatusAsked(), timeout_s)
        return status

    async def watches(self, url: str, timeout_s: float) -> Watches:
        """Return how the watches stand that the worker at `url` sends; raise as `ask` does."""
        watches: Watches = await self._asked(url, WatchesAsked(), timeout_s)
        return watches

    async def close(self) -> None:
        """Close all connections, and ask nobody from now on."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _asked(
        self, url: str, question: Question | StatusAsked | WatchesAsked, timeout_s: float
    ) -> Any:
        if self._closed:
            raise PeerError("this worker stops")
        if not url:
            raise PeerError("the worker that has it serves no HTTP, or is of a former version")
        if timeout_s <= 0:
            raise PeerError(f"no time is left to ask {url}")
        began_s = monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                body = await self._answer(url, msgspec.msgpack.encode(question), timeout_s)
            told = msgspec.msgpack.decode(body, type=TOLD[type(question)])
        except TimeoutError:
            raise self._failure(url, "late", f"{url} does not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(url, "unreachable", f"{url} cannot be reached ({_reason(error)})") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._failure(url, "refused", f"{url} answers what is no answer ({error})") from error
        if url in self._failed_s:
            del self._failed_s[url]
            _log.info("a worker answers again", url=url)
        self._observer.peer_asked("answered", monotonic() - began_s)
        return told

    async def _answer(self, url: str, question: bytes, timeout_s: float) -> bytes:
        try:
            return await self._exchange(url, question, timeout_s)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A kept connection may have been closed while the question was on its way. Asking twice changes nothing.
            return await self._exchange(url, question, timeout_s)

    async def _exchange(self, url: str, question: bytes, timeout_s: float) -> bytes:
        nonce = new_nonce()
        headers = {
            "Content-Type": MEDIA_TYPE,
            DEPLOYMENT: str(self._deployment),
            NONCE: nonce,
            TIME_LEFT_MS: str(int(timeout_s * 1000)),
            ASKER: self._proofs.proof("asker", nonce, b""),
            PROOF: self._proofs.proof("question", nonce, question),
        }
        async with self._open().post(
            url + PATH, data=question, headers=headers, ssl=self._tls(), allow_redirects=False
        ) as answer:
            body = await _read(url, answer)
            whose = answer.headers.get(DEPLOYMENT)
            if whose is None:
                raise self._failure(url, "refused", f"{url} is no worker of this version ({answer.status})")
            if whose != str(self._deployment):
                reason = f"{url} counts for {printable(whose[:200])}, not {self._deployment}"
                raise self._failure(url, "refused", reason, OtherDeploymentError)
            if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                # It answers, so that it is not suspect.
                self._observer.peer_asked("refused", 0.0)
                kind, detail = _problem(body)
                raise (BusyError if kind in _BUSY else PeerError)(f"{url} says: {detail or answer.status}")
            if answer.status != HTTPStatus.OK:
                raise self._failure(url, "refused", f"{url} says: {_problem(body)[1] or answer.status}")
            if not self._proofs.holds(answer.headers.get(PROOF, ""), "answer", nonce, body):
                raise self._failure(
                    url, "refused", f"{url} does not prove that it knows WORDCOUNT_PEER_SECRET"
                )
        return body

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise PeerError("this worker stops")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, limit_per_host=_CONNECTIONS_PER_PEER, keepalive_timeout=_KEPT_S
                ),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _failure(self, url: str, outcome: str, reason: str, kind: type[PeerError] = PeerError) -> PeerError:
        """Note a failure, and log the first one since the last answer."""
        if url not in self._failed_s:
            _log.warning("a worker does not answer questions", url=url, reason=reason)
        self._failed_s[url] = monotonic()
        self._observer.peer_asked(outcome, 0.0)
        return kind(reason)


async def _read(url: str, answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MOST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer of {url} is longer than {MOST_ANSWER_BYTES} bytes")
    return bytes(body)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _problem(body: bytes) -> tuple[str, str]:
    """Return the name and the detail of a problem document; "" = `body` is none."""
    try:
        problem = msgspec.json.decode(body)
        kind, detail = str(problem.get("type", "")), str(problem.get("detail", ""))
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        return "", ""
    return kind.rpartition(":")[2], printable(detail[:500])
