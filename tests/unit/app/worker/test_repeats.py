"""Repeated log lines: which are written at once, and which are folded into one line with their number."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from app.worker.repeats import CAUSES, PERIOD_S, FoldingHandler, Repeats


def record(message: Any, *arguments: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", level, "client.py", 1, message, arguments, None)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> tuple[FoldingHandler, io.StringIO]:
    handler, stream = FoldingHandler(clock), io.StringIO()
    handler.setStream(stream)
    return handler, stream


def test_a_cause_is_told_once_in_its_time_and_then_with_its_number(
    log: tuple[FoldingHandler, io.StringIO], clock: Clock
) -> None:
    handler, stream = log
    for tenth in range(2 * int(PERIOD_S) * 10 + 1):
        clock.now_s = tenth / 10
        handler.handle(record("Unable connect to node with id %s: refused", tenth % 3))
    lines = stream.getvalue().splitlines()
    assert [line.rsplit(": ", 1)[1] for line in lines] == [
        "refused",
        "refused (300 times)",
        "refused (300 times)",
    ]


def test_the_trouble_of_all_partitions_is_one_cause(
    log: tuple[FoldingHandler, io.StringIO], clock: Clock
) -> None:
    handler, stream = log
    for number in range(256):
        handler.handle(
            record(
                {
                    "event": "restore waits",
                    "partition": number,
                    "reason": f"no offsets of texts partition {number}",
                }
            )
        )
    clock.now_s = PERIOD_S
    handler.handle(record("something else", level=logging.INFO))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert "'partition': 255" in lines[1] and "'times': 255" in lines[1]


def test_another_reason_is_another_cause(log: tuple[FoldingHandler, io.StringIO]) -> None:
    handler, stream = log
    for reason in ("refused", "no answer", "refused"):
        handler.handle(record({"event": "restore waits", "partition": 1, "reason": reason}))
    assert len(stream.getvalue().splitlines()) == 2


def test_each_partition_that_stopped_is_told(log: tuple[FoldingHandler, io.StringIO]) -> None:
    handler, stream = log
    for number in (1, 2, 1):
        handler.handle(record({"event": "partition stopped", "partition": number}, level=logging.ERROR))
    assert len(stream.getvalue().splitlines()) == 2


def test_the_rest_is_told_at_the_end(log: tuple[FoldingHandler, io.StringIO]) -> None:
    handler, stream = log
    for _ in range(3):
        handler.handle(record("refused"))
    handler.close()
    assert stream.getvalue().splitlines() == ["refused", "refused (2 times)"]


def test_what_is_no_trouble_is_told_always(log: tuple[FoldingHandler, io.StringIO]) -> None:
    handler, stream = log
    for _ in range(3):
        handler.handle(record("partition counting", level=logging.INFO))
    assert len(stream.getvalue().splitlines()) == 3


def test_after_a_quiet_time_a_cause_is_told_at_once(
    log: tuple[FoldingHandler, io.StringIO], clock: Clock
) -> None:
    handler, stream = log
    handler.handle(record("refused"))
    clock.now_s = PERIOD_S
    handler.handle(record("all is well", level=logging.INFO))
    clock.now_s = PERIOD_S + 1
    handler.handle(record("refused"))
    assert stream.getvalue().splitlines() == ["refused", "all is well", "refused"]


def test_memory_is_bounded() -> None:
    repeats = Repeats()
    for number in range(2 * CAUSES):
        assert repeats.is_told(record(f"cause {'x' * number}"))
        repeats.note(record(f"cause {'x' * number}"), 0)
    assert len(repeats._told) == CAUSES
