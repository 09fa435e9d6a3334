"""The HTTP client of `wordcount top`, `get` and `doctor`: asks a worker, and turns its problems into errors."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from app.bodies import AssignmentMap, Stats, Top, Version, Word
from app.config.http_trust import commands_trust, workers_trust
from app.peer_names import DEPLOYMENT_HEADER, PEER_PATH
from app.problem_bodies import PROBLEM_TYPE, Problem, UnknownWord
from app.window_bodies import WindowTop, WordWindows
from tables.errors import BadRequestError, ConfigurationError, NotReadyError, WordcountError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.config.settings import Settings

_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 3.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_UNKNOWN_WORD = f"{PROBLEM_TYPE}unknown-word"

Kind = TypeVar("Kind")


def worker_url(settings: Settings) -> str:
    """Return the URL at which a worker with these settings listens, as seen from the same machine.

    Raises:
        ConfigurationError: WORDCOUNT_HTTP_PORT is 0, so that the port is not known.
    """
    if not settings.http_port:
        raise ConfigurationError(
            "WORDCOUNT_HTTP_PORT is 0, so the worker's port is not known",
            "give --url with the address that the worker logs",
        )
    host = _ANY_ADDRESS.get(settings.http_host, settings.http_host)
    scheme = "http" if settings.http_tls_cert_file is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.http_port}"


@dataclass(frozen=True, slots=True)
class WorkerAddress:
    """Where a worker is asked, and how.

    Attributes:
        url: its URL; the path of a resource is appended.
        token: what the worker may want to know its client by; never shown.
        tls: verifies the worker if the URL begins with https.
    """

    url: str
    token: str | None
    tls: ssl.SSLContext

    def __repr__(self) -> str:
        return f"WorkerAddress({self.url!r})"


def worker_address(settings: Settings, url: str | None = None) -> WorkerAddress:
    """Return the address of the worker at `url`; None = the worker with these settings on this machine.

    Raises:
        ConfigurationError: the port of the worker with these settings is not known, or certificates cannot be read.
    """
    return WorkerAddress(
        url or worker_url(settings), _token(settings), commands_trust(settings, own=url is None)
    )


def member_addresses(settings: Settings, urls: Sequence[str]) -> list[WorkerAddress]:
    """Return the addresses of workers of the group, which advertise these URLs and are trusted as they trust each other.

    Raises:
        ConfigurationError: certificates cannot be read.
    """
    trust = workers_trust(settings)
    return [WorkerAddress(url, _token(settings), trust) for url in urls]


def ask_path(
    worker: WorkerAddress, path: str, parameters: Mapping[str, str | int] | None = None
) -> httpx.Response:
    """Send GET for a resource, and return the answer, which has status 200, or 404 for an unknown word.

    Raises:
        ConfigurationError: the worker's URL is not a URL, its certificate is not trusted, or it wants another token.
        NotReadyError: the worker cannot answer now, or the process that listens at the URL gives no answer in time.
        BadRequestError: the worker refuses the question.
        WordcountError: the worker failed, or no worker listens at the URL.
    """
    url = worker.url
    answer = _received(worker, path, parameters)
    if answer.status_code == httpx.codes.OK:
        return answer
    problem = _decoded(url, answer, Problem)
    if problem.type == _UNKNOWN_WORD:
        return answer
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise ConfigurationError(
            f"the worker at {url} does not let this command ask: {problem.detail}",
            "set WORDCOUNT_TOKEN to a token that the worker knows",
        )
    if answer.status_code in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS}:
        retry_after = answer.headers.get("retry-after", "")
        raise NotReadyError(
            f"the worker at {url} cannot answer now: {problem.detail}",
            f"ask again in {retry_after} s" if retry_after.isdecimal() else "the worker's log says more",
        )
    if httpx.codes.is_client_error(answer.status_code):
        raise BadRequestError(f"the worker at {url} refuses the question: {problem.detail}")
    raise WordcountError(f"the worker at {url} failed: {problem.detail}", "the worker's log says more")


def ask_word(worker: WorkerAddress, word: str, *, allow_partial: bool = False) -> Word | UnknownWord:
    """Return the count of `word`; raise as `ask_path` does, and BadRequestError if `word` is not Unicode text.

    Args:
        worker: address of the worker.
        word: the word, which the worker normalises.
        allow_partial: whether the answer may leave partitions out.
    """
    answer = ask_path(worker, word_path(word), _terms(allow_partial))
    if answer.status_code == httpx.codes.OK:
        return _decoded(worker.url, answer, Word)
    return _decoded(worker.url, answer, UnknownWord)


def ask_top(worker: WorkerAddress, k: int, *, exact: bool = False, allow_partial: bool = False) -> Top:
    """Return the `k` most frequent words; raise as `ask_path` does.

    Args:
        worker: address of the worker.
        k: most words in the answer, >= 1.
        exact: whether the worker reads all words if nothing less proves which words are the most frequent.
        allow_partial: whether the answer may leave partitions out.
    """
    parameters = {"k": k, "exact": str(exact).lower(), **_terms(allow_partial)}
    return _decoded(worker.url, ask_path(worker, "/v1/top", parameters), Top)


def ask_window(
    worker: WorkerAddress,
    size: str,
    k: int,
    *,
    at: str | None = None,
    exact: bool = False,
    allow_partial: bool = False,
) -> WindowTop:
    """Return the `k` most frequent words of a window; raise as `ask_path` does.

    Args:
        worker: address of the worker.
        size: size of the window, as the worker takes it.
        k: most words in the answer, >= 1.
        at: a time in the window; None = the newest window that is closed.
        exact, allow_partial: as in `ask_top`.
    """
    parameters = {"k": k, "exact": str(exact).lower(), **_terms(allow_partial)}
    if at is not None:
        parameters["at"] = at
    path = f"/v1/windows/{quote(size, safe='')}/top"
    return _decoded(worker.url, ask_path(worker, path, parameters), WindowTop)


def ask_word_windows(
    worker: WorkerAddress, word: str, size: str, *, allow_partial: bool = False
) -> WordWindows:
    """Return the counts of `word` in the newest windows of a size; raise as `ask_word` does."""
    parameters = {"size": size, **_terms(allow_partial)}
    return _decoded(worker.url, ask_path(worker, f"{word_path(word)}/windows", parameters), WordWindows)


def ask_lag(worker: WorkerAddress) -> int | None:
    """Return how many records of all partitions are not counted yet; None = not known, because a partition does not say so.

    No follower says so, and so no view.
    """
    try:
        stats = _decoded(worker.url, ask_path(worker, "/v1/stats", _terms(allow_partial=True)), Stats)
    except WordcountError:
        return None
    lags = [part.lag_records for number in stats.as_of if (part := stats.partitions.get(number)) is not None]
    known = [lag for lag in lags if lag is not None]
    return sum(known) if stats.complete and len(known) == len(stats.as_of) else None


def ask_assignments(worker: WorkerAddress) -> AssignmentMap:
    """Return which worker has which partition, as a worker knows it; raise as `ask_path` does."""
    return _decoded(worker.url, ask_path(worker, "/v1/assignments"), AssignmentMap)


def ask_deployment(worker: WorkerAddress) -> str:
    """Return `group/topic` for which a worker counts; raise as `ask_path` does.

    A worker names them in every answer to another worker, also where it refuses the question, as it does here.
    """
    deployment = _received(worker, PEER_PATH, None, "POST").headers.get(DEPLOYMENT_HEADER)
    if deployment is None:
        raise _not_a_worker(worker.url)
    return str(deployment)


def ask_version(worker: WorkerAddress) -> Version:
    """Return the versions of a worker; raise as `ask_path` does."""
    return _decoded(worker.url, ask_path(worker, "/version"), Version)


def word_path(word: str) -> str:
    """Return the path of a word's count. Dots are encoded too, because clients resolve "." and ".." in a path.

    Raises:
        BadRequestError: the word has bytes that are not UTF-8; a terminal with another encoding sends such bytes.
    """
    try:
        # If the locale is not UTF-8, Python keeps bytes of an argument as surrogates; this restores the bytes.
        text = word.encode("utf-8", "surrogateescape").decode()
        return "/v1/words/" + quote(text, safe="").replace(".", "%2E")
    except UnicodeError:
        raise BadRequestError("the word is not UTF-8", "use a terminal and a locale with UTF-8") from None


def _token(settings: Settings) -> str | None:
    return None if settings.token is None else settings.token.get_secret_value()


def _terms(allow_partial: bool) -> dict[str, str | int]:
    # A worker of an earlier version does not know the parameter, and answers all the same.
    return {"allow_partial": "true"} if allow_partial else {}


def _unconnected(url: str, error: httpx.HTTPError) -> WordcountError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        reason = str(error).partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return ConfigurationError(
            f"the certificate of what listens at {url} is not trusted ({reason})",
            "name the file of its authority in WORDCOUNT_HTTP_TLS_CA_FILE, and ask by a host name that the certificate has",
        )
    if "[SSL" in str(error):
        return ConfigurationError(
            f"what listens at {url} does not speak TLS as this command does ({error})",
            "give the worker's address by --url, with http:// if it has no TLS",
        )
    return WordcountError(
        f"no worker answers at {url} ({error})",
        "start one (wordcount worker, or wordcount run), or give its address by --url",
    )


def _received(
    worker: WorkerAddress, path: str, parameters: Mapping[str, str | int] | None, method: str = "GET"
) -> httpx.Response:
    url = worker.url
    headers = {} if worker.token is None else {"Authorization": f"Bearer {worker.token}"}
    try:
        # With `trust_env` a proxy that the environment names would be asked also for loopback and cluster addresses.
        with (
            httpx.Client(
                trust_env=False,
                timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
                verify=worker.tls,
                headers=headers,
            ) as client,
            client.stream(method, url.rstrip("/") + path, params=parameters) as answer,
        ):
            if not answer.headers.get("content-type", "").startswith(
                ("application/json", "application/problem+json")
            ):
                raise _not_a_worker(url)
            answer.read()
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ConfigurationError(
            f'"{url}" is not an address ({error})', "give --url http://host:port"
        ) from None
    except (httpx.ReadTimeout, httpx.WriteTimeout):
        raise NotReadyError(
            f"what listens at {url} has not answered within {_TIMEOUT_S:g} s",
            "if it is a worker it is busy, ask again in a moment; else give the worker's address by --url",
        ) from None
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
        raise NotReadyError(
            f"what listens at {url} gave no answer in HTTP ({str(error) or type(error).__name__})",
            "if it is a worker that stops, or is crowded, ask again in a moment; else give the worker's address by --url, with "
            "https:// if it has TLS",
        ) from None
    except httpx.DecodingError:
        raise _not_a_worker(url) from None
    except httpx.HTTPError as error:
        raise _unconnected(url, error) from None
    return answer


def _decoded(url: str, answer: httpx.Response, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _not_a_worker(url) from None


def _not_a_worker(url: str) -> WordcountError:
    return WordcountError(
        f"what answers at {url} is not a worker of this version", "give the worker's address by --url"
    )
