"""Parameters of questions about windows: sizes as durations, and times in RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from app.reads.window_answers import LAST_S, MOST_PANES, WindowSize
from app.web.problems import OutOfRangeError
from tables.model.durations import LONGEST_SIZE_S

_USUAL: Final = WindowSize(60, 60)
"""Size of the windows that are meant where none are configured: another worker may count them."""

SIZE_PATTERN: Final = "^[0-9]{1,9}[smhd]?(/[0-9]{1,9}[smhd]?)?$"

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIME: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def size_asked(parameters: dict[str, str], shortest: WindowSize | None) -> WindowSize:
    """Return the size that `size` names; without that parameter the `shortest` one that is configured."""
    return size_of(parameters["size"]) if "size" in parameters else shortest or _USUAL


def size_of(text: str, name: str = "size") -> WindowSize:
    """Return the size that is written as a duration, `1m` or `60`, or as two, `1h/5m`; `name` = the parameter, for errors.

    Raises:
        OutOfRangeError: the text has another form, or a duration cannot be that of windows.
    """
    if not re.fullmatch(SIZE_PATTERN, text):
        raise OutOfRangeError(
            f'"{name}" is "{text[:100]}"',
            "give a duration such as 30s, 1m or 1h, or 1h/5m for hopping windows",
        )
    size, _, advance = text.partition("/")
    size_s = _seconds(size)
    advance_s = _seconds(advance) if advance else size_s
    if not (1 <= advance_s <= size_s <= LONGEST_SIZE_S) or size_s % advance_s:
        raise OutOfRangeError(
            f'"{name}" is "{text[:100]}"', "a size is from 1s to 366d, and what comes after / divides it"
        )
    if size_s // advance_s > MOST_PANES:
        raise OutOfRangeError(
            f'"{name}" is "{text[:100]}", which is {size_s // advance_s:,} windows of {advance}',
            f"{MOST_PANES:,} are added up at most",
        )
    return WindowSize(size_s, advance_s)


def time_of(parameters: dict[str, str], name: str) -> float | None:
    """Return parameter `name` as seconds since 1970; None = the parameter is not given.

    Raises:
        OutOfRangeError: the parameter is not a time in RFC 3339 from 1970 to 9999.
    """
    text = parameters.get(name)
    if text is None:
        return None
    wrong = OutOfRangeError(
        f'"{name}" is "{text[:100]}"',
        "give a time such as 2026-01-01T00:05:00Z; in a URL the + of a time zone is written %2B",
    )
    if not re.fullmatch(_TIME, text):
        raise wrong
    try:
        seconds = datetime.fromisoformat(text.upper()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise wrong from None
    if not 0 <= seconds <= LAST_S:
        raise wrong
    return seconds


def stretch_of(parameters: dict[str, str], size: WindowSize) -> tuple[int, int] | None:
    """Return beginning and end of the windows that `from` and `to` touch; None = neither is given.

    Raises:
        OutOfRangeError: one of both is not given or not a time, or the end is not after the beginning.
    """
    first, last = time_of(parameters, "from"), time_of(parameters, "to")
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise OutOfRangeError('"from" and "to" are not both given', "give both, or none of them")
    if first >= last:
        raise OutOfRangeError(f'"to" is "{parameters["to"]}", which is not after "from"', "give a later time")
    start_s = int(first // size.advance_s) * size.advance_s
    return start_s, int(-(-last // size.advance_s)) * size.advance_s


def _seconds(text: str) -> int:
    unit = text[-1] if text[-1] in _UNITS_S else ""
    return int(text.removesuffix(unit)) * _UNITS_S[unit]
