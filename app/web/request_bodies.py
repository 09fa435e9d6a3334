"""Bodies of requests: JSON of a bounded size, checked against a type."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from app.web.problems import MediaTypeError, TooLargeError
from tables.errors import BadRequestError

MOST_BYTES: Final = 1_048_576
"""Largest body in bytes: a word of the largest size (`WORDCOUNT_MAX_WORD_BYTES`), each byte of it as a JSON escape, fits twice."""

Body = TypeVar("Body")


async def json_body(request: Request, kind: type[Body]) -> Body:
    """Return the body of `request`.

    Raises:
        MediaTypeError: the body is not said to be JSON, or it is compressed.
        TooLargeError: the body has more than `MOST_BYTES`.
        BadRequestError: the body is not JSON, or not of this kind.
    """
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise MediaTypeError(f'"Content-Type" is "{media_type[:100]}"', "send application/json")
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise MediaTypeError(f'"Content-Encoding" is "{coding[:100]}"', "send the body as it is")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MOST_BYTES:
            raise TooLargeError(f"the body has more than {MOST_BYTES} bytes", "ask for fewer words at a time")
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"the body is not as it has to be ({error})", "see /openapi.json") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON ({error})", "send JSON in UTF-8") from None
