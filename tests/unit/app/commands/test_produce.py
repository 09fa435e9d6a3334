"""Flags of `wordcount produce` that are refused before a broker is asked."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (
            ["--timestamps", "time"],
            '--timestamps "time" is neither now, nor a JSON Pointer, nor the number of a column',
        ),
        (["--timestamps", "/~"], '--timestamps "/~" is not a JSON Pointer'),
        (["--speed", "2"], "--speed needs times in the lines"),
        (["--timestamps", "/t", "--speed", "2", "--rate", "5"], "--speed and --rate cannot be used together"),
        (["--timestamps", "/t", "--speed", "inf"], "--speed inf is not between 1e-06 and 1,000,000,000"),
        (["--timestamps", "/t", "--speed", "1e-7"], "--speed 1e-07 is not between 1e-06 and 1,000,000,000"),
    ],
)
def test_flags_that_do_not_fit_are_refused(wordcount, flags: list[str], what: str) -> None:
    outcome = wordcount("produce", *flags)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"wordcount: {what}; ")
