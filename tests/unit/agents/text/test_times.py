"""What counts as a time, in the forms that programs write, and in which unit a number is."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from agents.text.times import time_ms, times_ms

NOON_MS = 1_714_996_800_000  # 2024-05-06T12:00:00Z


@pytest.mark.parametrize(
    ("text", "beyond_noon_ms"),
    [
        ("2024-05-06T12:00:00Z", 0),
        ("2024-05-06T12:00:00", 0),
        ("2024-05-06 12:00:00", 0),
        ("2024-05-06t12:00:00z", 0),
        ("2024-05-06T12Z", 0),
        ("2024-05-06T12:00Z", 0),  # java.time leaves out seconds that are 0
        ("2024-05-06T14:00:00+02:00", 0),
        ("2024-05-06T14:00:00.000+0200", 0),  # java.text.SimpleDateFormat
        ("2024-05-06 14:00:00+02", 0),
        ("2024-05-06T06:29:00-05:31", 0),
        ("2024-05-06T12:00:01+00:00:01", 0),
        ("2024-05-06T14:00+02:00[Europe/Berlin]", 0),  # java.time.ZonedDateTime
        ("2024-05-06T12:00Z[Etc/GMT+0]", 0),
        ("2024-05-06 14:00:00.123456789 +0200 CEST m=+0.012345", 123),  # Go's Time.String
        ("2024-05-06 15:00:00 +0300 +03", 0),
        ("2024-05-06 12:00:00 +0000 UTC", 0),
        ("2024-05-06 12:00:00 UTC", 0),
        ("2024-05-06 12:00:00 GMT", 0),
        ("2024-05-06T12:00:00.1Z", 100),
        ("2024-05-06 12:00:00,123", 123),  # log4j, logging of Python
        ("2024-05-06T12:00:00.9999999999999Z", 999),
        ("20240506T120000Z", 0),
        ("2024-W19-1T12:00Z", 0),
        ("2024W191T12", 0),
        ("2024-05-06", -12 * 3_600_000),
        ("2024-W19", -12 * 3_600_000),
        ("2024-05-06T24:00:00Z", 12 * 3_600_000),
        ("2024-05-06T11:59:60Z", -1),
        ("2024-05-06T11:59:60.5Z", -1),
    ],
)
def test_a_text_in_a_known_form_is_its_time(text: str, beyond_noon_ms: int) -> None:
    assert time_ms(text) == NOON_MS + beyond_noon_ms


@pytest.mark.parametrize(
    ("number", "expected_ms"),
    [
        (0, 0),
        (-1, -1000),
        (10**11 - 1, (10**11 - 1) * 1000),
        (10**11, 10**11),
        (10**14 - 1, 10**14 - 1),
        (10**14, 10**11),
        (10**17 - 1, 10**14 - 1),
        (10**17, 10**11),
        (10**20 - 1, 10**14 - 1),
        (10**20, None),
        (-(10**11), -(10**11)),
        (-(10**14) - 1, -(10**11) - 1),
        (1_700_000_000.123, 1_700_000_000_123),
        (1_700_000_000.1239998, 1_700_000_000_123),
        (-0.5, -500),
        (-0.0001, -1),
        (1_700_000_000_123.9, 1_700_000_000_123),
        (1.7000000001234e18, 1_700_000_000_123),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (1e20, None),
        (10**400, None),
    ],
)
def test_the_size_of_a_number_decides_its_unit(number: float, expected_ms: int | None) -> None:
    assert time_ms(number) == expected_ms


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("1700000000", 1_700_000_000_000),
        ("+1700000000.", 1_700_000_000_000),
        ("1700000000.1239999999", 1_700_000_000_123),
        ("-0.0001", -1),
        ("1700000000123", 1_700_000_000_123),
        ("1700000000123.9", 1_700_000_000_123),
        ("99999999999999999999", 10**14 - 1),
        ("1.7e9", 1_700_000_000_000),
        ("20240506", 20_240_506_000),
        ("100000000000000000000", None),
        ("1e999", None),
    ],
)
def test_a_number_may_be_text(text: str, expected_ms: int | None) -> None:
    assert time_ms(text) == expected_ms


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "now", "yesterday", "NaN", "Infinity", "null", "true", "-", "1_000", "١٧٠٠٠٠٠٠٠٠", "0x10"),
        *("2024-05", "2024-5-6", "24-05-06", "2024-126", "2024-05-06Z", "2024-05-06T", "2024-05-06x12:00"),
        *("2024-02-30", "2024-02-30T12:00:00Z", "2023-W53", "2024-W19-8", "2024-00-01", "0000-01-01"),
        *("2024-05-06T25:00", "2024-05-06T24:01", "2024-05-06T24:00:00.001", "2024-05-06T12:60:00Z"),
        *(
            "2024-05-06T12:00:61Z",
            "2024-05-06T12:00:00.Z",
            "2024-05-06T12:00:00+24:00",
            "2024-05-06T12:00+02:60",
        ),
        *(" 2024-05-06", "2024-05-06\n", "2024-05-06T12:00:00Z ", "2024-05-06T12:00:00[Europe/Berlin]"),
        *("2024-05-06T12:00:00Z\x00", "2024-05-06T12:00:00Z\ud800", "+12024-05-06T12:00:00Z"),
        *("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T24:00", "9999-W52-7"),
        *(True, False, None, [], {}, b"2024-05-06", datetime(2024, 5, 6, tzinfo=UTC)),
        *(-(10**11) + 1, -62_135_596_801),
    ],
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert time_ms(value) is None


def test_the_first_and_the_last_time_are_those_of_four_digit_years() -> None:
    assert time_ms("0001-01-01T00:00:00Z") == time_ms(-62_135_596_800) == -62_135_596_800_000
    assert time_ms("9999-12-31T23:59:59.999999Z") == 253_402_300_799_999


def test_an_array_marks_what_is_missing_and_what_is_unreadable() -> None:
    times = times_ms(["2024-05-06T12:00:00Z", None, "soon", True, NOON_MS, 0.5, -1])
    assert times.tolist() == [NOON_MS, -1, -2, -2, NOON_MS, 500, -1000]
    assert times.dtype == "int64"
    assert times_ms([]).tolist() == []


def test_no_time_of_an_array_looks_like_a_mark() -> None:
    assert times_ms([-0.001, -0.002, -0.003, None, "soon"]).tolist() == [-3, -3, -3, -1, -2]
    assert times_ms(["1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.997Z"]).tolist() == [-3, -3]
