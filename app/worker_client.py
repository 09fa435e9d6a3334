"""Asks a worker over HTTP, as `wordcount top` and `get` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from tables.errors import BadRequestError, ConfigurationError, NotReadyError, WordcountError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.settings import Settings

_TIMEOUT_S = 10.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def worker_url(settings: Settings) -> str:
    """Where a worker with these settings listens, seen from the same machine.

    Raises:
        ConfigurationError: the port is left to chance.
    """
    if not settings.http_port:
        raise ConfigurationError(
            "WORDCOUNT_HTTP_PORT is 0, so the worker's port is not known", "give --url, as the worker logs it"
        )
    host = _ANY_ADDRESS.get(settings.http_host, settings.http_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"


def ask(url: str, path: str, parameters: Mapping[str, str | int] | None = None) -> tuple[int, dict[str, Any]]:
    """GET a resource; return status 200 or 404, and the JSON object it answers.

    Raises:
        WordcountError: nothing or something else than a worker listens there.
        NotReadyError: the worker cannot answer yet.
        BadRequestError: it refuses the question.
    """
    try:
        # A proxy of the environment would be asked for loopback and cluster addresses too.
        with httpx.Client(trust_env=False, timeout=_TIMEOUT_S) as client:
            answer = client.get(url.rstrip("/") + path, params=parameters)
        body = answer.json()
    except httpx.InvalidURL as error:
        raise ConfigurationError(
            f'"{url}" is not an address ({error})', "give --url http://host:port"
        ) from None
    except httpx.HTTPError as error:
        raise WordcountError(
            f"no worker answers at {url} ({error})",
            "start one (wordcount worker, or wordcount run), or give its address by --url",
        ) from None
    except ValueError:
        body = None
    if not isinstance(body, dict) or not ({"as_of", "detail", "version"} & body.keys()):
        raise WordcountError(f"what answers at {url} is not a worker", "give the worker's address by --url")
    if answer.status_code in {200, 404}:
        return answer.status_code, body
    detail = str(body["detail"])
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise NotReadyError(f"the worker at {url} cannot answer yet: {detail}", "ask again in a moment")
    if httpx.codes.is_client_error(answer.status_code):
        raise BadRequestError(f"the worker at {url} refuses the question: {detail}")
    raise WordcountError(f"the worker at {url} failed: {detail}", "its log says more")


def word_path(word: str) -> str:
    """Path of a word's count. Dots are encoded too: clients take "." and ".." for steps in the path."""
    return "/v1/words/" + quote(word, safe="").replace(".", "%2E")


def freshness(body: Mapping[str, Any]) -> list[str]:
    """How complete and how fresh an answer is, in lines for people."""
    as_of, missing = body["as_of"], body["missing_partitions"]
    total = len(as_of) + len(missing)
    if body["complete"]:
        complete = f"complete: {len(as_of)} of {total} partitions"
    else:
        which = f"partition {', '.join(map(str, missing))}" if missing else "which, is not known"
        complete = f"INCOMPLETE: {len(as_of)} of {total if missing else '?'} partitions; missing: {which}"
    offsets = ", ".join(f"{partition}: {offset}" for partition, offset in as_of.items())
    return [complete, f"as of (partition: next offset): {offsets or 'nothing'}"]
