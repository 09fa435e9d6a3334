"""Bodies of requests: JSON of a bounded size, checked against a type, and the bytes that all bodies together may take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from app.web.disconnection import ClientGoneError
from app.web.problems import MediaTypeError, TooLargeError
from tables.errors import BadRequestError, OverloadedError

MOST_BYTES: Final = 1_048_576
"""Largest body in bytes: a word of the largest size (`WORDCOUNT_MAX_WORD_BYTES`), each byte of it as a JSON escape, fits twice."""

MOST_HELD_BYTES: Final = 64 << 20
"""Most bytes of all bodies that are read or held at a time. Without this bound each of a thousand connections could send a whole body
and keep it in memory until its answer."""

Body = TypeVar("Body")


class BodyBudget:
    """Bounds the bytes of all bodies that are read or held at a time.

    Bytes are counted when they arrive, not when they are announced, so that clients which announce much and send nothing keep nobody
    else waiting.

    Args:
        most_bytes: the bound.
    """

    def __init__(self, most_bytes: int = MOST_HELD_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0

    @asynccontextmanager
    async def body_of(self, request: Request, most_bytes: int) -> AsyncIterator[bytes]:
        """Read the body of `request`, which counts as held until the `with` ends.

        Args:
            request: the request, whose body was not read yet.
            most_bytes: largest body.

        Raises:
            TooLargeError: the body has more than `most_bytes`.
            OverloadedError: all bodies together have more bytes than may be held.
            ClientGoneError: the client has left before the end of the body.
        """
        content = bytearray()
        held_bytes = 0
        try:
            async for part in request.stream():
                if len(content) + len(part) > most_bytes:
                    raise TooLargeError(
                        f"the body has more than {most_bytes} bytes", "ask for fewer words at a time"
                    )
                if self._held_bytes + len(part) > self._most_bytes:
                    raise OverloadedError(
                        f"the bodies of all requests together have more than {self._most_bytes} bytes",
                        "ask again in a moment, or for fewer words at a time",
                    )
                self._held_bytes += len(part)
                held_bytes += len(part)
                content += part
            yield bytes(content)
        except ClientDisconnect:
            raise ClientGoneError("the client has gone") from None
        finally:
            self._held_bytes -= held_bytes


def check_json(request: Request) -> None:
    """Check that the body of `request` is said to be JSON, not compressed.

    Raises:
        MediaTypeError: it is said to be something else.
    """
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise MediaTypeError(f'"Content-Type" is "{media_type[:100]}"', "send application/json")
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise MediaTypeError(f'"Content-Encoding" is "{coding[:100]}"', "send the body as it is")


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
