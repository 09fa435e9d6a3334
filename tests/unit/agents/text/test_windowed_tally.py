"""The windows of a tally: where the time of a record comes from, and copies of records that are left out of a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from tables.model.event_clock import EventClock
from tables.model.records import DeadLetter, RecordBatch
from tables.model.tally import Tally
from tables.model.windows import SizeRule, WindowRules, WindowState, begun

NOON_MS = 1_700_000_040_000
"""The beginning of a minute of the year 2023."""

NOON_S = NOON_MS // 1000
MINUTE_MS = 60_000


def state(source: str = "record", stream_ms: int | None = NOON_MS) -> WindowState:
    rules = WindowRules((SizeRule(60, 0, 86_400),), 3_600_000, source)
    return begun(rules, 0).at(EventClock(stream_ms))


def batch(values: Sequence[bytes | None], times: Sequence[int] | None = None, **facts: object) -> RecordBatch:
    read = None if times is None else np.array(times, np.int64)
    return RecordBatch(pa.array(values, pa.binary()), 0, len(values), times=read, **facts)


def tally(one: RecordBatch, windows: WindowState, **policies: object) -> Tally:
    text = value_format("text") if windows.time_source == "record" else value_format("json", "/text")
    return RecordTally(tokenizer("whitespace"), text, Policies(**policies))([one], windows)


def panes(result: Tally) -> dict[int, dict[str, int]]:
    """Counts by beginning of their pane, relative to `NOON_S`."""
    assert result.windowed is not None
    return {
        one.pane.start_s - NOON_S: {
            word.decode(): count
            for word, count in zip(one.words.to_pylist(), one.counts.tolist(), strict=True)
        }
        for one in result.windowed.panes
    }


def document(text: str, time: object) -> bytes:
    shown = f'"{time}"' if isinstance(time, str) else time
    return f'{{"text": "{text}", "at": {shown}}}'.encode()


def test_the_time_of_a_record_is_found_in_its_document() -> None:
    values = [
        document("a b", NOON_MS),
        document("a", "2023-11-14T22:15:00Z"),  # a minute later
        document("late", NOON_S - 61),
    ]
    wrong = [NOON_MS + 5 * MINUTE_MS] * 3
    result = tally(batch(values, wrong), state("/at"))
    assert panes(result) == {0: {"a": 1, "b": 1}, 60: {"a": 1}}
    assert (result.totals.words, result.totals.late) == (4, {"60": 1})


def test_a_document_without_a_readable_time_counts_in_the_totals_only() -> None:
    values = [
        document("a", "null"),
        document("a", "soon"),
        document("a", "true"),
        b'{"text": "a"}',
        document("a", "1989-12-31T23:59:59Z"),
        document("a", NOON_S),
    ]
    values[0] = b'{"text": "a", "at": null}'
    result = tally(batch(values), state("/at"))
    assert panes(result) == {0: {"a": 1}}
    assert result.totals.words == 6
    assert result.totals.untimed == {"missing_time": 2, "unreadable_time": 2, "impossible_time": 1}


def test_a_record_without_a_document_has_no_time() -> None:
    values = [None, None, b"{", b'{"text": "a\xff", "at": 1700000040}', document("a", NOON_S)]
    facts = {"oversized": {1: 99_999_999}}
    result = tally(batch(values, **facts), state("/at"), on_invalid_utf8="skip")
    assert panes(result) == {0: {"a": 1}}
    assert result.totals.untimed == {"missing_time": 1, "unreadable_time": 3}
    replaced = tally(batch(values, **facts), state("/at"))
    assert panes(replaced) == {0: {"a": 1, "a\ufffd": 1}}


def test_a_document_without_text_has_a_time_nevertheless() -> None:
    ahead = NOON_S + 600
    result = tally(batch([b'{"at": %d}' % ahead, document("late", NOON_S)]), state("/at"))
    assert result.windowed is not None
    assert result.windowed.clock.stream_ms == ahead * 1000
    assert result.totals.late == {"60": 1}


def test_records_whose_times_nobody_asked_for_are_in_no_window() -> None:
    result = tally(batch([b"a", b"b"]), state())
    assert panes(result) == {}
    assert result.totals.untimed == {"missing_time": 2}


LATE_MS, ODD_MS, FAR_MS = NOON_MS - MINUTE_MS, 1, NOON_MS + 4_000_000


@pytest.mark.parametrize(
    ("policies", "reasons"),
    [
        ({}, {}),
        ({"on_late": "dead_letter"}, {1: "late"}),
        ({"on_bad_time": "dead_letter"}, {2: "missing_time", 3: "impossible_time", 4: "jump", 6: "jump"}),
    ],
)
def test_a_copy_with_its_time_is_sent_of_a_record_that_is_left_out_of_a_window(
    policies: dict[str, object], reasons: dict[int, str]
) -> None:
    values = [b"v%d" % index for index in range(7)]
    times = [NOON_MS, LATE_MS, -1, ODD_MS, FAR_MS, NOON_MS, FAR_MS + 1]
    result = tally(batch(values, times), state(), **policies)
    assert result.totals.counted == result.totals.words == 7
    assert list(result.dead_letters) == [
        DeadLetter(index, values[index], reason, 0, None if times[index] == -1 else times[index])
        for index, reason in reasons.items()
    ]
    assert result.totals.untimed == {"missing_time": 1, "impossible_time": 1, "jump": 1}


def test_no_copy_is_sent_of_a_record_that_is_not_counted() -> None:
    values = [None, b"\xff", b"late"]
    result = tally(
        batch(values, [LATE_MS] * 3),
        state(),
        on_null="skip",
        on_invalid_utf8="dead_letter",
        on_late="dead_letter",
    )
    assert list(result.dead_letters) == [
        DeadLetter(1, b"\xff", "invalid_utf8", 0, LATE_MS),
        DeadLetter(2, b"late", "late", 0, LATE_MS),
    ]
    assert (result.totals.counted, result.totals.skipped) == (1, {"null": 1})


def test_a_time_that_cannot_be_read_is_sent_with_its_document() -> None:
    value = document("a", "soon")
    result = tally(batch([value]), state("/at"), on_bad_time="dead_letter")
    assert list(result.dead_letters) == [DeadLetter(0, value, "unreadable_time")]
