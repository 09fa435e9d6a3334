"""Bodies of requests: JSON of a bounded size, checked against a type, and the bytes that all bodies together may take."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from app.web.disconnection import ClientGoneError
from app.web.formats import JSON
from app.web.problems import MediaTypeError, TooLargeError
from app.web.unpacking import Unpacking
from tables.errors import BadRequestError, OverloadedError

MOST_BYTES: Final = 1_048_576
"""Largest body in bytes: a word of the largest size (`WORDCOUNT_MAX_WORD_BYTES`), each byte of it as a JSON escape, fits twice."""

MOST_HELD_BYTES: Final = 64 << 20
"""Most bytes of all bodies that are read or held at a time. Without this bound each of a thousand connections could send a whole body
and keep it in memory until its answer."""

_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})

Body = TypeVar("Body")


class BodyBudget:
    """Bounds the bytes of all bodies that are read or held at a time.

    Bytes are counted when they arrive, not when they are announced, so that clients which announce much and send nothing keep nobody
    else waiting.

    Args:
        most_bytes: the bound.
        remedy: what a client can do whose body is too large.
    """

    def __init__(
        self, most_bytes: int = MOST_HELD_BYTES, remedy: str = "ask for fewer words at a time"
    ) -> None:
        self._most_bytes = most_bytes
        self._remedy = remedy
        self._held_bytes = 0

    @asynccontextmanager
    async def body_of(
        self, request: Request, most_bytes: int, unpacking: Unpacking | None = None
    ) -> AsyncIterator[bytes]:
        """Read the body of `request`, which counts as held until the `with` ends.

        Args:
            request: the request, whose body was not read yet.
            most_bytes: largest body, as it is sent and unpacked.
            unpacking: unpacks the body while it comes; None = the body is not packed.

        Raises:
            BadRequestError: the body cannot be unpacked.
            TooLargeError: the body has more than `most_bytes`.
            OverloadedError: all bodies together have more bytes than may be held.
            ClientGoneError: the client has left before the end of the body.
        """
        content = bytearray()
        held_bytes = sent_bytes = 0
        try:
            async for sent in request.stream():
                sent_bytes += len(sent)
                room_bytes = most_bytes - len(content)
                part = sent if unpacking is None else unpacking.next(sent, room_bytes + 1)
                if len(part) > room_bytes or sent_bytes > most_bytes:
                    raise TooLargeError(f"the body has more than {most_bytes} bytes", self._remedy)
                self._hold(len(part))
                held_bytes += len(part)
                content += part
            if unpacking is not None:
                unpacking.check_end()
            body = bytes(content)
            content.clear()
            yield body
        except ClientDisconnect:
            raise ClientGoneError("the client has gone") from None
        finally:
            self._held_bytes -= held_bytes

    @contextmanager
    def more(self, size_bytes: int) -> Iterator[None]:
        """Count what was made of a body as held, too, until the `with` ends. Raise OverloadedError as `body_of` does."""
        self._hold(size_bytes)
        try:
            yield
        finally:
            self._held_bytes -= size_bytes

    def _hold(self, size_bytes: int) -> None:
        if self._held_bytes + size_bytes > self._most_bytes:
            raise OverloadedError(
                f"the bodies of all requests together have more than {self._most_bytes} bytes",
                f"ask again in a moment, or {self._remedy}",
            )
        self._held_bytes += size_bytes


def check_json(request: Request) -> None:
    """Check that the body of `request` is said to be JSON, not compressed.

    Raises:
        MediaTypeError: it is said to be something else.
    """
    media_type_of(request, JSON)
    content_coding_of(request)


def media_type_of(request: Request, *known: str) -> str:
    """Return the media type of a body, one of `known`, lower case and without parameters; text is in UTF-8.

    Raises:
        MediaTypeError: it is said to be something else.
    """
    said = request.headers.get("content-type", "")
    media_type, _, parameters = said.partition(";")
    charset = re.search(r"(?:^|[;\s])charset\s*=\s*\"?([^\s;\"]*)", parameters.lower())
    media_type = media_type.strip().lower()
    if media_type not in known or (charset is not None and charset[1] not in _CHARSETS):
        raise MediaTypeError(f'"Content-Type" is "{said[:100]}"', f"send {' or '.join(known)}, in UTF-8")
    return media_type


def content_coding_of(request: Request, *known: str) -> str:
    """Return the coding of a body, one of `known`; "" if the body is as it is.

    Raises:
        MediaTypeError: the body has another coding, or several.
    """
    said = ", ".join(request.headers.getlist("content-encoding"))
    coding = said.strip().lower()
    if coding in {"", "identity"}:
        return ""
    if coding not in known:
        remedy = " or ".join(["send the body as it is", *(f"packed by {name}" for name in known)])
        raise MediaTypeError(f'"Content-Encoding" is "{said[:100]}"', remedy)
    return coding


def from_json(body: bytes, kind: type[Body]) -> Body:
    """Return what `body` says.

    Raises:
        BadRequestError: the body is not JSON, or not of this kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"the body is not as it has to be ({error})", "see /openapi.json") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON ({error})", "send JSON in UTF-8") from None
