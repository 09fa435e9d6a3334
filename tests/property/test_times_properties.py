"""Times equal those of `datetime`, however they are written, and reading many together equals reading each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from agents.text.times import time_ms, times_ms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=OFFSETS | st.just(UTC))
RECENT = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=OFFSETS)  # noqa: DTZ001
SHAPES = (
    st.text(st.sampled_from("0123456789-:.,+TWtZz UTC[]"), max_size=30)
    | st.from_regex(
        r"[0-9]{4}-?(0[0-9]|1[0-3]|W[0-5][0-9])-?[0-3]?[0-9]([T ][0-2][0-9](:?[0-6][0-9]){0,2}([.,][0-9]{1,12})?"
        r"( ?([zZ]|[+-][0-2][0-9](:?[0-6][0-9]){0,2}))?)?",
        fullmatch=True,
    )
    | MOMENTS.map(datetime.isoformat)
    | RECENT.map(datetime.isoformat)
)
NUMBERS = (
    st.integers(-(10**21), 10**21)
    | st.integers(-(2**63), 2**64)
    | st.floats()
    | st.integers(0, 4 * 10**12).map(lambda ms: ms / 1000)
)
FORMS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%dT%H:%M:%S.%f123Z",
    "%Y-%m-%d",
)
ALIKE = st.sampled_from(FORMS).flatmap(
    lambda form: st.lists((MOMENTS | RECENT).map(lambda moment: moment.strftime(form)))
)
VALUES = (
    ALIKE
    | st.lists(SHAPES)
    | st.lists(st.integers(0, 10**20))
    | st.lists(SHAPES | NUMBERS | st.none() | st.booleans())
)


def ms_of(moment: datetime) -> int | None:
    try:
        return (moment - EPOCH) // timedelta(milliseconds=1) if FIRST <= moment <= LAST else None
    except OverflowError:
        return None


@given(
    moment=MOMENTS,
    separator=st.sampled_from("T "),
    timespec=st.sampled_from(["hours", "minutes", "seconds", "milliseconds", "microseconds"]),
    digits_beyond=st.text(st.sampled_from("0123456789"), max_size=12),
)
def test_a_written_moment_is_read_as_it_was(
    moment: datetime, separator: str, timespec: str, digits_beyond: str
) -> None:
    text = moment.replace(tzinfo=None).isoformat(separator, timespec)
    written = datetime.fromisoformat(text)
    if timespec == "microseconds":
        text += digits_beyond
    offset = moment.isoformat()[-6:]
    for form in (offset, offset.replace(":", ""), f" {offset}", f"{offset}[Some/Zone]"):
        assert time_ms(text + form) == ms_of(written.replace(tzinfo=moment.tzinfo))
    assert time_ms(text) == time_ms(f"{text}Z") == ms_of(written.replace(tzinfo=UTC))


@given(moment=MOMENTS)
def test_a_day_may_be_written_without_hyphens_or_by_its_week(moment: datetime) -> None:
    expected = ms_of(moment)
    time_of_day = moment.isoformat()[10:]
    year, week, day = moment.isocalendar()
    assert time_ms(moment.strftime("%Y").zfill(4) + moment.strftime("%m%d") + time_of_day) == expected
    if year <= 9999:
        assert time_ms(f"{year:04}-W{week:02}-{day}{time_of_day}") == expected
        assert time_ms(f"{year:04}W{week:02}{day}{time_of_day}") == expected


@given(text=SHAPES)
def test_what_is_read_as_iso_8601_python_reads_alike(text: str) -> None:
    ms = time_ms(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return
    if ms is not None and not text.isdigit():
        assert ms == ms_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


@given(number=NUMBERS)
@example(1700000000.1239998)
@example(99999999999.99998)
def test_a_number_is_its_time_rounded_down_exactly(number: float) -> None:
    ms = time_ms(number)
    exact = Decimal(repr(number))
    if not exact.is_finite() or abs(exact) >= 10**20:
        assert ms is None
        return
    size = abs(exact)
    shift = 3 if size < 10**11 else 0 if size < 10**14 else -3 if size < 10**17 else -6
    numerator, denominator = exact.as_integer_ratio()
    expected = numerator * 10 ** max(shift, 0) // (denominator * 10 ** max(-shift, 0))
    assert ms == (expected if -62_135_596_800_000 <= expected <= 253_402_300_799_999 else None)
    if size < 10**15 and "e" not in repr(number).lower():
        assert time_ms(repr(number)) == ms


@given(values=VALUES)
@example(["0000-12-31T23:59:00-00:01"])
@example(["2024-05-06T12:00:00Z", "9999-12-31T23:59:59-01:00"])
@example(["2024-05-06T12:00:00Z", "1969-12-31T23:59:59.999Z"])
@example([2**63])
@example([True, 1])
def test_reading_many_equals_reading_each(values: list[object]) -> None:
    for value, ms in zip(values, times_ms(values).tolist(), strict=True):
        expected = -1 if value is None else time_ms(value)
        if expected is None:
            assert ms == -2
        elif value is not None and expected in (-1, -2):
            assert ms == -3
        else:
            assert ms == expected
