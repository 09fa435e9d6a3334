"""Durations as they are written in settings, requests and messages: `30s`, `5m`, `1h` or `7d`, in whole seconds. Pure."""

from __future__ import annotations

import re
from typing import Final

LONGEST_SIZE_S: Final = 366 * 86_400
"""The longest window."""

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_s(text: str) -> int:
    """Return the seconds of a duration such as `30s`, `5m`, `1h` or `7d`. Raise ValueError for any other text."""
    if (found := re.fullmatch(r"([0-9]{1,9})([smhd])", text)) is None:
        raise ValueError(text)
    return int(found[1]) * _UNITS_S[found[2]]


def duration_text(seconds: int) -> str:
    """Return a duration as the settings take it, in the largest unit in which it is a whole number."""
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS_S[unit] == 0), "s")
    return f"{seconds // _UNITS_S[unit]}{unit}"
