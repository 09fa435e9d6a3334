"""Parameters of a request: words in paths and parameters in queries, decoded strictly and bounded.

ASGI servers decode invalid UTF-8 to U+FFFD, so that the answer would be the count of another word. Hence this module decodes the raw
bytes of path and query.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from app.web.problems import OutOfRangeError
from tables.errors import BadRequestError


def path_word(request: Request, before: str, after: str = "") -> str:
    """Return the word between `before` and `after` in the path. A word may hold any character, also "/" and NUL.

    Raises:
        BadRequestError: the path is not the percent-encoding of UTF-8.
    """
    path = decoded(request.scope["raw_path"], "the path")
    return path.removeprefix(before).removesuffix(after)


def query_parameters(request: Request, *known: str) -> dict[str, str]:
    """Return the query's parameters by name.

    Raises:
        BadRequestError: a parameter is not `known`, is given twice, or is not percent-encoded UTF-8.
    """
    found, _ = repeatable_parameters(request, None, *known)
    return found


def repeatable_parameters(
    request: Request, repeatable: str | None, *known: str
) -> tuple[dict[str, str], list[str]]:
    """Return the query's parameters by name, without `repeatable`, and the values of `repeatable` in their order.

    Raises:
        BadRequestError: a parameter is neither `repeatable` nor `known`, one that is `known` is given twice, or one is not
            percent-encoded UTF-8.
    """
    found: dict[str, str] = {}
    values: list[str] = []
    for part in request.scope["query_string"].split(b"&"):
        if not part:
            continue
        name, _, value = (decoded(side.replace(b"+", b" "), "the query") for side in part.partition(b"="))
        if name == repeatable:
            values.append(value)
            continue
        if name not in known:
            names = known if repeatable is None else (repeatable, *known)
            remedy = f"known here: {', '.join(names)}" if names else "there are none here"
            raise BadRequestError(f'unknown query parameter "{name[:100]}"', remedy)
        if name in found:
            raise BadRequestError(f'query parameter "{name}" is given twice')
        found[name] = value
    return found, values


def whole_number(parameters: dict[str, str], name: str, default: int, most: int, least: int = 1) -> int:
    """Return parameter `name` as a number from `least` to `most` (inclusive), or `default` if the parameter is not given.

    Raises:
        OutOfRangeError: the parameter has another value.
    """
    text = parameters.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise OutOfRangeError(f'"{name}" is "{text[:100]}"', f"give a whole number from {least} to {most}")
    return int(text)


def truth(parameters: dict[str, str], name: str, *, default: bool) -> bool:
    """Return whether parameter `name` is "true", or `default` if the parameter is not given.

    Raises:
        OutOfRangeError: the parameter is neither "true" nor "false".
    """
    text = parameters.get(name, str(default).lower())
    if text not in {"true", "false"}:
        raise OutOfRangeError(f'"{name}" is "{text[:100]}"', 'give "true" or "false"')
    return text == "true"


def cursor_after(word: str, prefix: str) -> str:
    """Return the cursor of the page of `prefix` that begins after `word`: a text that clients send back and do not interpret.

    The word starts with the prefix, so that the prefix's length says the whole prefix, whatever characters it has.
    """
    return base64.urlsafe_b64encode(f"{len(prefix)}:{word}".encode()).rstrip(b"=").decode()


def word_of_cursor(cursor: str, prefix: str) -> str:
    """Return the word from which `cursor_after` made `cursor`.

    Raises:
        BadRequestError: `cursor` does not come from a page of words with this `prefix`.
    """
    wrong = BadRequestError(
        f'"cursor" is "{cursor[:100]}"', 'give the "next_cursor" of a page of the same prefix'
    )
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        word = content.decode().removeprefix(f"{len(prefix)}:")
    except (binascii.Error, ValueError):
        raise wrong from None
    if cursor_after(word, prefix) != cursor or not word.startswith(prefix):
        raise wrong
    return word


def decoded(encoded: bytes, where: str) -> str:
    """Return text from its percent-encoded UTF-8; `where` says in errors where the text stands.

    Raises:
        BadRequestError: `encoded` is something else.
    """
    if re.search(rb"%(?![0-9A-Fa-f]{2})", encoded):
        raise BadRequestError(f"{where} has a % without two hexadecimal digits", "encode % as %25")
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise BadRequestError(
            f"{where} is not UTF-8", "percent-encode the UTF-8 bytes of each character"
        ) from None
