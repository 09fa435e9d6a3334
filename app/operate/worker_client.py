"""The HTTP client of `wordcount top`, `get` and `doctor`: asks a worker, and turns its problems into errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from app.bodies import PROBLEM_TYPE, Problem, Top, UnknownWord, Version, Word
from tables.errors import BadRequestError, ConfigurationError, NotReadyError, WordcountError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.config.settings import Settings

_TIMEOUT_S = 10.0
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
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"


def ask_path(url: str, path: str, parameters: Mapping[str, str | int] | None = None) -> httpx.Response:
    """Send GET for a resource, and return the answer, which has status 200, or 404 for an unknown word.

    Raises:
        ConfigurationError: `url` is not a URL.
        NotReadyError: the worker cannot answer now, or the process that listens at `url` gives no answer in time.
        BadRequestError: the worker refuses the question.
        WordcountError: the worker failed, or no worker listens at `url`.
    """
    answer = _received(url, path, parameters)
    if answer.status_code == httpx.codes.OK:
        return answer
    problem = _decoded(url, answer, Problem)
    if problem.type == _UNKNOWN_WORD:
        return answer
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        retry_after = answer.headers.get("retry-after", "")
        raise NotReadyError(
            f"the worker at {url} cannot answer now: {problem.detail}",
            f"ask again in {retry_after} s" if retry_after.isdecimal() else "the worker's log says more",
        )
    if httpx.codes.is_client_error(answer.status_code):
        raise BadRequestError(f"the worker at {url} refuses the question: {problem.detail}")
    raise WordcountError(f"the worker at {url} failed: {problem.detail}", "the worker's log says more")


def ask_word(url: str, word: str, *, allow_partial: bool = False) -> Word | UnknownWord:
    """Return the count of `word`; raise as `ask_path` does, and BadRequestError if `word` is not Unicode text.

    Args:
        url: address of the worker.
        word: the word, which the worker normalises.
        allow_partial: whether the answer may leave partitions out.
    """
    answer = ask_path(url, word_path(word), _terms(allow_partial))
    if answer.status_code == httpx.codes.OK:
        return _decoded(url, answer, Word)
    return _decoded(url, answer, UnknownWord)


def ask_top(url: str, k: int, *, exact: bool = False, allow_partial: bool = False) -> Top:
    """Return the `k` most frequent words; raise as `ask_path` does.

    Args:
        url: address of the worker.
        k: most words in the answer, >= 1.
        exact: whether the worker reads all words if nothing less proves which words are the most frequent.
        allow_partial: whether the answer may leave partitions out.
    """
    parameters = {"k": k, "exact": str(exact).lower(), **_terms(allow_partial)}
    return _decoded(url, ask_path(url, "/v1/top", parameters), Top)


def ask_version(url: str) -> Version:
    """Return the versions of the worker at `url`; raise as `ask_path` does."""
    return _decoded(url, ask_path(url, "/version"), Version)


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


def _terms(allow_partial: bool) -> dict[str, str | int]:
    # A worker of an earlier version does not know the parameter, and answers all the same.
    return {"allow_partial": "true"} if allow_partial else {}


def _received(url: str, path: str, parameters: Mapping[str, str | int] | None) -> httpx.Response:
    try:
        # With `trust_env` a proxy that the environment names would be asked also for loopback and cluster addresses.
        with (
            httpx.Client(trust_env=False, timeout=_TIMEOUT_S) as client,
            client.stream("GET", url.rstrip("/") + path, params=parameters) as answer,
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
            "if it is a worker that stops, or is crowded, ask again in a moment; else give the worker's address by --url",
        ) from None
    except httpx.DecodingError:
        raise _not_a_worker(url) from None
    except httpx.HTTPError as error:
        raise WordcountError(
            f"no worker answers at {url} ({error})",
            "start one (wordcount worker, or wordcount run), or give its address by --url",
        ) from None
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
