"""Representations of lists of words: JSON, a line of JSON per word (NDJSON), and CSV; and which of them a request accepts."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.bodies import Behind, CountedWord, Counts, Top, Words
from app.reads.answers import Answer
from app.web.problems import NotAcceptableError
from app.web.responses import REVALIDATED, freshness, json_response
from app.window_bodies import Trending, TrendingWord, WindowCount, WindowTop, WordWindows

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
OFFERED: Final = (JSON, NDJSON, CSV)
"""The media types of lists; of two that a client accepts equally, the first is sent."""

CONTENT_TYPES: Final = {JSON: JSON, NDJSON: NDJSON, CSV: "text/csv; charset=utf-8; header=present"}
CSV_HEADER: Final = b"word,count\r\n"
VARY: Final = {"Vary": "Accept"}


def header_name(member: str) -> str:
    """Return the name of the header with a member of an answer whose body has no place for the member."""
    return f"Wordcount-{member.replace('_', '-').title()}"


_LISTS: Final = (Words, Top, Counts, WindowTop, WordWindows, Trending)
"""The bodies that are lists."""

_ROWS: Final = ("words", "windows")
"""Members of lists that have the rows."""

HEADER_NAMES: Final = tuple(
    header_name(name)
    for name in dict.fromkeys(name for body in _LISTS for name in body.__struct_fields__)
    if name not in _ROWS
)
"""All headers that `header_fields` makes of a list."""

MOST_HEADER_BYTES: Final = 3_000
"""Most bytes of headers with freshness. nginx reads 4 kB of headers by default."""

_COLUMNS: Final = {
    **dict.fromkeys((Words, Top, Counts, WindowTop), CountedWord.__struct_fields__),
    WordWindows: WindowCount.__struct_fields__,
    Trending: TrendingWord.__struct_fields__,
}
"""Names of the columns of CSV."""

_encoder = msgspec.json.Encoder()


def accepted(request: Request) -> str:
    """Return the one of `OFFERED` that the request accepts most.

    Raises:
        NotAcceptableError: the request accepts none of them.
    """
    header = ",".join(request.headers.getlist("accept"))
    if not header.strip():
        return JSON
    ranges = [found for part in header.split(",") if (found := _media_range(part)) is not None]
    qualities = {offered: _quality(offered, ranges) for offered in OFFERED}
    best = max(OFFERED, key=lambda offered: qualities[offered])
    if not qualities[best]:
        raise NotAcceptableError(f'"Accept" is "{header[:100]}"', f"this resource has {', '.join(OFFERED)}")
    return best


def list_response(
    media_type: str,
    body: Words | Top | Counts | WindowTop | WordWindows | Trending,
    headers: Mapping[str, str] = REVALIDATED,
) -> Response:
    """Return a response with `body` in one of `OFFERED`.

    NDJSON has a line per word or window, and a last line with the other members. CSV has rows; the other members are headers.
    """
    headers = {**headers, **VARY}
    if media_type == JSON:
        return json_response(body, headers=headers)
    others = {name: getattr(body, name) for name in body.__struct_fields__ if name not in _ROWS}
    rows: list[msgspec.Struct] = next(getattr(body, name) for name in _ROWS if name in body.__struct_fields__)
    if media_type == NDJSON:
        content = _encoder.encode_lines([*rows, others])
    else:
        content = csv_rows([_COLUMNS[type(body)], *map(msgspec.structs.astuple, rows)])
        headers |= header_fields(others)
    return Response(content, headers={**headers, "Content-Type": CONTENT_TYPES[media_type]})


def csv_rows(rows: Iterable[tuple[object, ...]]) -> bytes:
    """Return rows as RFC 4180 has it: CRLF at the end, and quotes around a word that contains a comma, quote or line end.

    A word is never changed, also one that a spreadsheet would take for a formula: it would be another word then.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def header_fields(members: Mapping[str, object]) -> dict[str, str]:
    """Return members of a body as headers, `as_of` as `Wordcount-As-Of`; a member that is null has no header.

    Objects are written like the parameter `after`: "0:123,3:456". They grow with the partitions, and proxies refuse answers with long
    headers. Beyond `MOST_HEADER_BYTES` those of the partitions are left out, the most useful ones last; `Wordcount-Complete` stays.
    """
    headers = {header_name(name): _text(value) for name, value in members.items() if value is not None}
    for member in ("behind", "served_by", "as_of", "missing_partitions"):
        if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEADER_BYTES:
            headers.pop(header_name(member), None)
    return headers


def freshness_headers(answer: Answer[object]) -> dict[str, str]:
    """Return the headers that say how fresh and how complete `answer` is, for a body that has no place for that."""
    return header_fields(dict(freshness(answer)))


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if isinstance(value, Behind):
        return f"{value.records}:{value.seconds}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _media_range(part: str) -> tuple[str, float] | None:
    """Return a media range of `Accept` and its quality; None if it cannot be read, or names a CSV without a header."""
    found = re.fullmatch(r"([^\s;/]+/[^\s;/]+)((?:\s*;[^;]*)*)", part.strip().lower())
    if found is None:
        return None
    quality = 1.0
    for parameter in found[2].split(";")[1:]:
        name, _, value = (side.strip() for side in parameter.partition("="))
        if name == "q":
            if not re.fullmatch(r"(?:0?\.[0-9]{1,3}|[01](?:\.[0-9]{0,3})?)", value):
                return None
            quality = min(1.0, float(value))
        elif name == "header" and value != "present":
            return None
    return found[1], quality


def _quality(offered: str, ranges: Iterable[tuple[str, float]]) -> float:
    """Return the quality of the most specific range that contains `offered`; 0 if none does."""
    by_range = dict(ranges)
    for wanted in (offered, offered.partition("/")[0] + "/*", "*/*"):
        if wanted in by_range:
            return by_range[wanted]
    return 0.0
