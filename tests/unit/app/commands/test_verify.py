"""What `wordcount verify` says and ends with, without a broker."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from app.operate import verification
from app.operate.verification import Difference, Verified
from app.operate.window_verification import VerifiedWindows, WindowDifference
from app.output import OutputError
from tables.errors import BrokerUnavailableError

verify_command = importlib.import_module("app.commands.verify")

RIGHT = Verified(0, 5, 9, words=2, records=4, occurrences=6)
WRONG = Verified(1, 0, 3, words=1, records=3, occurrences=3, differences=[Difference("a\u202e", 1, 3)])
UNREAD = Verified(2, 0, 7, impossible="the partition cannot be read (CorruptRecordException())")
EMPTY = Verified(3, 4, 4)
WINDOWS = VerifiedWindows(6, 9, windows=3, counts=1200, left_out=2)
WRONG_WINDOWS = VerifiedWindows(
    6,
    9,
    windows=3,
    counts=4,
    differing=2,
    differences=[
        WindowDifference(60, "2024-02-03T04:05:00Z", confirmed=True, word="a\u202e", counted=1, recounted=3),
        WindowDifference(7200, "2024-02-03T04:00:00Z", confirmed=False, word="b", counted=0, recounted=1),
    ],
    totals="late {} (recount {'60': 1})",
)
NO_WINDOWS = VerifiedWindows(impossible="no windows are counted")


def found(*partitions: Verified, then: Exception | None = None) -> Callable[..., AsyncGenerator[Verified]]:
    async def verify(*_: object, **__: object) -> AsyncGenerator[Verified]:
        for partition in partitions:
            yield partition
        if then is not None:
            raise then

    return verify


@pytest.mark.parametrize(
    ("partitions", "code", "verdict"),
    [
        ([RIGHT, EMPTY], 0, "every count that could be compared is right: 6 words in 4 records"),
        (
            [RIGHT, WRONG, UNREAD],
            1,
            "1 counts differ in 1 partitions; 1 partitions cannot be verified: 9 words",
        ),
        ([RIGHT, UNREAD], 3, "every count that could be compared is right; 1 partitions cannot be verified"),
        ([UNREAD], 3, "nothing could be compared; 1 partitions cannot be verified: 0 words in 0 records"),
        ([EMPTY], 0, "nothing could be compared: 0 words in 0 records"),
    ],
)
def test_the_exit_code_tells_different_from_not_compared(wordcount, monkeypatch, partitions, code, verdict):
    monkeypatch.setattr(verification, "verify", found(*partitions))
    outcome = wordcount("verify")
    assert (outcome.code, outcome.err) == (code, "")
    assert verdict in outcome.out.splitlines()[-1]
    assert wordcount("verify", "--json").code == code


def test_only_what_was_read_is_called_right(wordcount, monkeypatch):
    monkeypatch.setattr(verification, "verify", found(RIGHT, WRONG, UNREAD, EMPTY))
    assert wordcount("verify").out.splitlines()[:-1] == [
        "partition 0: 2 words in offsets 5 to 9 (exclusive) are right",
        "partition 1: 1 of 1 words in offsets 0 to 3 (exclusive) differ",
        r"  'a\u202e': counted 1, recount 3",
        "partition 2: cannot be verified: the partition cannot be read (CorruptRecordException())",
        "partition 3: empty, nothing to compare",
    ]


def test_windows_have_a_line_of_their_own(wordcount, monkeypatch):
    partitions = [
        replace(RIGHT, windows=WINDOWS),
        replace(RIGHT, windows=WRONG_WINDOWS),
        replace(RIGHT, windows=NO_WINDOWS),
        EMPTY,
    ]
    monkeypatch.setattr(verification, "verify", found(*partitions))
    outcome = wordcount("verify", "--windows")
    assert outcome.code == 1
    right = "partition 0: 2 words in offsets 5 to 9 (exclusive) are right"
    assert outcome.out.splitlines() == [
        right,
        "  1,200 counts in 3 windows in offsets 6 to 9 (exclusive) are right; 2 windows are left out, because former rules counted "
        "a part of them",
        right,
        "  2 of 4 counts in 3 windows in offsets 6 to 9 (exclusive) differ; totals differ: late {} (recount {'60': 1})",
        r"    'a\u202e' in 1m from 2024-02-03T04:05:00Z: counted 1, recount 3",
        "    'b' in 2h from 2024-02-03T04:00:00Z, a time that is not confirmed: counted 0, recount 1",
        right,
        "  windows cannot be verified: no windows are counted",
        "partition 3: empty, nothing to compare",
        "2 counts differ in 1 partitions; windows of 1 partitions cannot be verified: 18 words in 12 records counted again, "
        "and 1,204 counts in windows",
    ]
    printed = json.loads(wordcount("verify", "--windows", "--json").out)
    assert printed[1]["windows"]["differences"][1]["size_s"] == 7200


@pytest.mark.parametrize(("windows", "code"), [(WINDOWS, 0), (WRONG_WINDOWS, 1), (NO_WINDOWS, 3)])
def test_windows_take_part_in_the_exit_code(wordcount, monkeypatch, windows, code):
    monkeypatch.setattr(verification, "verify", found(replace(RIGHT, windows=windows)))
    assert wordcount("verify", "--windows").code == code


@pytest.mark.parametrize(("before", "code"), [([], 3), ([RIGHT], 3), ([WRONG], 1)])
def test_a_broker_that_goes_away_is_no_difference(wordcount, monkeypatch, before, code):
    monkeypatch.setattr(
        verification, "verify", found(*before, then=BrokerUnavailableError("gone", "start it"))
    )
    outcome = wordcount("verify")
    assert (outcome.code, outcome.err) == (code, "wordcount: gone; start it\n")


def test_no_broker_at_all_is_no_difference(wordcount):
    outcome = wordcount("verify", "--bootstrap-servers", "127.0.0.1:1")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith('wordcount: no broker answers at WORDCOUNT_BOOTSTRAP_SERVERS="127.0.0.1:1"')


def test_an_output_that_nobody_reads_ends_the_comparison_in_order(wordcount, monkeypatch):
    """What is open is closed while the event loop still runs: else asyncio tells of it by a traceback."""
    ended = []

    async def verify(*_: object, **__: object) -> AsyncGenerator[Verified]:
        try:
            yield RIGHT
        finally:
            await asyncio.sleep(0)
            ended.append("in order")

    def unread(_: str) -> None:
        raise OutputError(BrokenPipeError())

    monkeypatch.setattr(verification, "verify", verify)
    monkeypatch.setattr(verify_command, "say", unread)
    with suppress(OutputError):
        wordcount("verify")
    assert ended == ["in order"]
