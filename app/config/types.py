"""Types of settings that are narrower than `str` or `int`, names of variables, and descriptions of valid values."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types as bounds
from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from agents.text.choices import RECORD_TIME
from agents.text.json_pointer import parsed
from tables.model.durations import LONGEST_SIZE_S, duration_s

PREFIX = "WORDCOUNT_"


def variable(field: str) -> str:
    """Return the name of the environment variable of a field."""
    return PREFIX + field.upper()


class Expected(str):
    """Annotation of a field: describes valid values if type and bounds do not."""

    __slots__ = ()


def _kafka_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in {".", ".."}:
        raise ValueError
    return value


def _host_ports(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    for server in servers:
        match = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", server)
        if match is None or not 1 <= int(match[1]) <= 65_535:
            raise ValueError
    return ",".join(servers)


def _host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name):
            raise ValueError
    return names


def _http_url(value: str) -> str:
    url = value.rstrip("/")
    match = re.fullmatch(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", url)
    if match is None or not 1 <= int(match[1] or 80) <= 65_535:
        raise ValueError
    return url


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        # Browsers send origins in lower case, without a path, and without the usual port.
        if not re.fullmatch(r"\*|https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", origin):
            raise ValueError
    return origins


def _json_pointer(value: str) -> str:
    parsed(value)
    return value


def _jump(value: str) -> str:
    if not 1 <= duration_s(value) <= LONGEST_SIZE_S:
        raise ValueError
    return value


def _time_source(value: str) -> str:
    if value != RECORD_TIME and not parsed(value):
        raise ValueError
    return value


def _not_zero(value: int) -> int:
    if value == 0:
        raise ValueError
    return value


def _split(value: object) -> object:
    """Split what a variable says; a value that is no text comes from the program, and has its parts already."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


_Separated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several texts, separated by commas; blanks around a text and empty texts are left out."""

KafkaName = Annotated[str, AfterValidator(_kafka_name), Expected("1 to 249 letters, digits, '.', '_' or '-'")]
HostPorts = Annotated[
    str, AfterValidator(_host_ports), Expected("host:port, several separated by commas, without kafka://")
]
HostNames = Annotated[
    _Separated,
    AfterValidator(_host_names),
    Expected("host names without ports, separated by commas; *.example.org for all names below example.org"),
]
HttpUrl = Annotated[
    str,
    AfterValidator(_http_url),
    Expected("a URL of scheme http or https, with host and port and without a path"),
]
Origins = Annotated[
    _Separated,
    AfterValidator(_origins),
    Expected(
        "origins such as https://dashboard.example or http://127.0.0.1:3000, lower case, no path, separated by commas; * for all"
    ),
]
JsonPointer = Annotated[
    str, AfterValidator(_json_pointer), Expected("an RFC 6901 pointer such as /message/text, or nothing")
]
ReplicationFactor = Annotated[
    int, AfterValidator(_not_zero), Expected("-1 (the broker's default) or a whole number from 1 to 32767")
]
WindowList = Annotated[
    _Separated,
    Expected("windows SIZE or SIZE/ADVANCE such as 1m,1h,1h/5m, each from 1s to 366d, separated by commas"),
]
WindowDurations = Annotated[
    _Separated,
    Expected("a duration such as 30s, 5m, 1h or 7d, or one for each window, such as 1m=10s,1h=5m"),
]
Jump = Annotated[
    str, AfterValidator(_jump), Expected("a duration such as 30s, 5m, 1h or 7d, from 1s to 366d")
]
TimeSource = Annotated[
    str, AfterValidator(_time_source), Expected("record, or an RFC 6901 pointer such as /message/time")
]
WordList = Annotated[_Separated, Expected("words separated by commas")]


def expectation(field: FieldInfo) -> str:
    """Return a short description of the valid values of a field."""
    for mark in field.metadata:
        if isinstance(mark, Expected):
            return str(mark)
    kind = _without_none(field.annotation)
    if get_origin(kind) is Annotated:
        return next(mark for mark in get_args(kind) if isinstance(mark, Expected))
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return f"one of {', '.join(choices)}" if len(choices) > 1 else f'"{choices[0]}"'
    if kind is bool:
        return "true or false"
    if kind is int:
        low = next(mark.ge for mark in field.metadata if isinstance(mark, bounds.Ge))
        high = next(mark.le for mark in field.metadata if isinstance(mark, bounds.Le))
        return f"a whole number from {low} to {high}"
    return "a path that is not empty" if kind is Path else "a text that is not empty"


def is_secret(field: FieldInfo) -> bool:
    """Return whether values of a field must never be shown."""
    return _without_none(field.annotation) is SecretStr


def _without_none(annotation: Any) -> Any:
    members = [member for member in get_args(annotation) if member is not NoneType]
    return members[0] if NoneType in get_args(annotation) else annotation
