"""Times of events, given as ISO 8601 text or as numbers since 1970, as whole milliseconds since 1970 in UTC.

What a text means is decided here and not by the Python version, because times decide in which window a record is counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from types import NoneType
from typing import Final, cast

import numpy as np
import pyarrow as pa

from tables.model.records import Int64Array

MISSING_MS: Final = -1
"""Stands in an array for a time that is not there."""

UNREADABLE_MS: Final = -2
"""Stands in an array for a time that cannot be read."""

# Times of an array that would look like `MISSING_MS` and `UNREADABLE_MS`, the last two milliseconds before 1970, become this one.
_BESIDE_MARKS_MS: Final = -3

_FIRST_MS: Final = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
_LAST_MS: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_DAY_S: Final = 86_400
_ORDINAL_OF_1970: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = _EPOCH.replace(tzinfo=None)
_MILLISECOND: Final = timedelta(milliseconds=1)

# The form that nearly all programs write. All versions of Python read it alike.
_COMMON: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(?:[.,](?P<fraction>\d+))?(?P<offset>Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?",
    re.ASCII,
)

# All forms: dates of calendar or week; hour, minute, second or none of them; Z, UTC, GMT or an offset; after that a name of the zone,
# as Java ("[Europe/Berlin]") and Go ("CET m=+0.05") write it.
_ANY: Final = re.compile(
    r"""(?P<year>\d{4})
    (?: -(?P<month>\d\d)-(?P<day>\d\d) | -W(?P<week>\d\d)(?:-(?P<weekday>\d))?
      | (?P<basic_month>\d\d)(?P<basic_day>\d\d) | W(?P<basic_week>\d\d)(?P<basic_weekday>\d)? )
    (?: [Tt ] (?P<hour>\d\d) (?: :?(?P<minute>\d\d) (?: :?(?P<second>\d\d) (?:[.,](?P<fraction>\d+))? )? )?
      (?: [ ]? (?: Z | z | UTC | GMT
          | (?P<sign>[+-])(?P<offset_hour>[01]\d|2[0-3]) (?: :?(?P<offset_minute>[0-5]\d) (?: :?(?P<offset_second>[0-5]\d) )? )? )
        (?: \[[\w/+:-]+\] | [ ](?:[A-Z]+|[+-]\d+)(?:[ ]m=[+-][\d.]+)? )?
      )? )?""",
    re.ASCII | re.VERBOSE,
)

_NUMBER: Final = re.compile(r"([+-]?)(\d{1,20})(?:\.(\d*))?([eE][+-]?\d{1,3})?", re.ASCII)


def time_ms(value: object) -> int | None:
    """Return the time that `value` means, in milliseconds since 1970-01-01 UTC, rounded down; None if `value` means no time.

    Text is a date or a date with a time as in ISO 8601 and RFC 3339, in the forms that Python, Java and Go write. A text without an
    offset is in UTC. A leap second (:60) is the last millisecond of the second before it, 24:00 is 0:00 of the next day.

    A number n, also as text, is the time since 1970 in seconds if |n| < 10¹¹, else in milliseconds if |n| < 10¹⁴, else in microseconds
    if |n| < 10¹⁷, else in nanoseconds if |n| < 10²⁰. A float is taken as the shortest decimal number that stands for it.

    Times before the year 1 and after the year 9999 are None, and so are true and false.
    """
    if isinstance(value, str):
        ms = _of_text(value)
    elif isinstance(value, bool):
        return None
    elif isinstance(value, int):
        ms = _of_thousandths(value * 1000, abs(value))
    elif isinstance(value, float):
        ms = _of_float(value)
    else:
        return None
    return ms if ms is not None and _FIRST_MS <= ms <= _LAST_MS else None


def times_ms(values: Sequence[object]) -> Int64Array:
    """Return the time of each value as `time_ms` does; `MISSING_MS` for None, and `UNREADABLE_MS` for what is no time.

    The last two milliseconds before 1970, which are the numbers of these marks, become -3. Values in one form, all whole numbers or
    all common text, are read together, which is ten times as fast.
    """
    kinds = set(map(type, values))
    if NoneType in kinds:
        there = np.array([value is not None for value in values])
        times = np.full(len(values), MISSING_MS, np.int64)
        times[there] = times_ms([value for value in values if value is not None])
        return times
    together = None
    if kinds == {str}:
        together = _of_texts(cast("Sequence[str]", values))
    elif kinds == {int}:
        together = _of_integers(cast("Sequence[int]", values))
    return np.fromiter(map(_marked, values), np.int64, len(values)) if together is None else together


def _marked(value: object) -> int:
    ms = time_ms(value)
    if ms is None:
        return UNREADABLE_MS
    return _BESIDE_MARKS_MS if ms in {MISSING_MS, UNREADABLE_MS} else ms


def _of_texts(texts: Sequence[str]) -> Int64Array | None:
    """Return the times of texts in the form of the first one, if that is common; None if a text needs `time_ms`.

    `time_ms` is needed for another form, and for times before 1970 or after the year 9999.
    """
    if (first := _COMMON.fullmatch(texts[0])) is None:
        return None
    # Arrow formats an error for each text that it cannot read, so the kind must not be found by trial. Its nanoseconds end in 2262.
    unit, per_ms = ("ns", 1_000_000) if len(first["fraction"] or "") > 6 else ("us", 1000)
    try:
        moments = pa.array(texts, pa.string()).cast(pa.timestamp(unit, "UTC" if first["offset"] else None))
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    found: Int64Array = moments.cast(pa.int64()).to_numpy() // per_ms
    return found if found.min() >= 0 and found.max() <= _LAST_MS else None


def _of_integers(numbers: Sequence[int]) -> Int64Array | None:
    """Return the times of whole numbers; None if one of them is negative or has more than 63 bits."""
    try:
        found = np.array(numbers, np.int64)
    except OverflowError:
        return None
    if found.min() < 0:
        return None
    return np.select(
        [found < 10**11, found < 10**14, found < 10**17],
        [found * 1000, found, found // 1000],
        found // 1_000_000,
    )


def _of_text(text: str) -> int | None:
    if _COMMON.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:  # no such day
            return None
        return (moment - (_NAIVE_EPOCH if moment.tzinfo is None else _EPOCH)) // _MILLISECOND
    if found := _NUMBER.fullmatch(text):
        return _of_number(found)
    if found := _ANY.fullmatch(text):
        return _of_any(found)
    return None


def _of_any(found: re.Match[str]) -> int | None:
    """Return the time of a match of `_ANY`; None if there is no such day or time of day."""
    part = found.groupdict(default="0")
    hour, minute, second = int(part["hour"]), int(part["minute"]), int(part["second"])
    fraction_ms = int(part["fraction"][:3].ljust(3, "0"))
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and (minute or second or fraction_ms)):
        return None
    try:
        days = _day(found).toordinal() - _ORDINAL_OF_1970
    except ValueError:
        return None
    if second == 60:
        second, fraction_ms = 59, 999
    offset_s = int(part["offset_hour"]) * 3600 + int(part["offset_minute"]) * 60 + int(part["offset_second"])
    if part["sign"] == "-":
        offset_s = -offset_s
    return (days * _DAY_S + hour * 3600 + minute * 60 + second - offset_s) * 1000 + fraction_ms


def _day(found: re.Match[str]) -> date:
    """Return the day of a match of `_ANY`. Raise ValueError if there is no such day."""
    year = int(found["year"])
    if week := found["week"] or found["basic_week"]:
        return date.fromisocalendar(year, int(week), int(found["weekday"] or found["basic_weekday"] or 1))
    return date(year, int(found["month"] or found["basic_month"]), int(found["day"] or found["basic_day"]))


def _of_number(found: re.Match[str]) -> int | None:
    """Return the time of a match of `_NUMBER`, exactly unless the number has an exponent."""
    sign, whole, fraction, exponent = found.groups(default="")
    if exponent:
        return _of_float(float(found[0]))
    thousandths = int(whole + fraction[:3].ljust(3, "0"))
    if sign == "-":
        thousandths = -thousandths - bool(fraction[3:].strip("0"))
    return _of_thousandths(thousandths, int(whole))


def _of_float(number: float) -> int | None:
    if not math.isfinite(number):
        return None
    size = abs(number)
    if size >= 1e11:
        return _of_thousandths(math.floor(number) * 1000, size)
    # A float that is the nearest to a number with three decimal places is that number; any other lies between two of these.
    nearest = round(number * 1000)
    return nearest if nearest / 1000 <= number else nearest - 1


def _of_thousandths(thousandths: int, size: float) -> int | None:
    """Return the time of a number in milliseconds; None if the number is too large for every unit.

    Args:
        thousandths: the number times 1000, rounded down.
        size: the number without its sign, which decides the unit.
    """
    if size < 10**11:
        return thousandths
    if size < 10**14:
        return thousandths // 1000
    if size < 10**17:
        return thousandths // 1_000_000
    return thousandths // 1_000_000_000 if size < 10**20 else None
