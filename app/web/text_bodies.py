"""Bodies with texts: a JSON object, a JSON document per line, or a text per line; read as a whole, so that a mistake sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from app.text_bodies import TextLine, TextsSent
from app.web.formats import JSON, NDJSON
from app.web.problems import TooLargeError
from app.web.request_bodies import from_json
from tables.errors import BadRequestError

PLAIN: Final = "text/plain"

MOST_TEXTS: Final = 20_000
"""Most texts in a body. Short texts take many times as much memory as their bytes in the body."""

_line = msgspec.json.Decoder(str | TextLine)


def texts_of(body: bytes, media_type: str) -> list[str]:
    """Return the texts of a body, in their order, at least one.

    Args:
        body: the body, unpacked.
        media_type: one of `MEDIA_TYPES`.

    Raises:
        BadRequestError: the body is not what its media type says, or has no text.
        TooLargeError: it has more than `MOST_TEXTS`.
    """
    texts = _READERS[media_type](body)
    if not texts:
        raise BadRequestError("the body has no text", "send at least one")
    if len(texts) > MOST_TEXTS:
        raise _too_many()
    return texts


def _of_json(body: bytes) -> list[str]:
    return from_json(body, TextsSent).texts


def _of_lines_of_json(body: bytes) -> list[str]:
    """Return the text of each line of NDJSON; lines with nothing but white space are left out."""
    texts: list[str] = []
    for number, line in enumerate(_lines(body), 1):
        if not line.strip():
            continue
        try:
            found = _line.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequestError(
                f"line {number} of the body is not as it has to be ({error})",
                'send a JSON string or {"text": "..."} on each line, in UTF-8',
            ) from None
        texts.append(found if isinstance(found, str) else found.text)
    return texts


def _of_plain_lines(body: bytes) -> list[str]:
    r"""Return each line as a text, also an empty one; a line ends with \n or \r\n, and the last one needs no end."""
    lines = _lines(body)
    if not lines[-1]:
        lines.pop()
    texts: list[str] = []
    try:
        texts.extend(line.removesuffix(b"\r").decode() for line in lines)
    except UnicodeDecodeError as error:
        raise BadRequestError(
            f"line {len(texts) + 1} of the body is not UTF-8 ({error.reason})", "send text in UTF-8"
        ) from None
    return texts


def _lines(body: bytes) -> list[bytes]:
    if body.count(b"\n") > MOST_TEXTS:
        raise _too_many()
    return body.split(b"\n")


def _too_many() -> TooLargeError:
    return TooLargeError(f"the body has more than {MOST_TEXTS} texts", "send fewer texts at a time")


_READERS: Final[Mapping[str, Callable[[bytes], list[str]]]] = {
    JSON: _of_json,
    NDJSON: _of_lines_of_json,
    PLAIN: _of_plain_lines,
}

MEDIA_TYPES: Final = tuple(_READERS)
"""The media types of bodies with texts."""
