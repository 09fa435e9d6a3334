"""Event time: which records move it, which jump, and what becomes of a jump."""

from random import Random

import numpy as np
import pytest

from tables.model import event_clock
from tables.model.event_clock import (
    CONFIRMING_RECORDS,
    EARLIEST_MS,
    LATEST_MS,
    NEVER_MS,
    ORDINARY,
    REFUTED,
    SPREAD_RECORDS,
    UNCONFIRMED,
    UNTIMED,
    EventClock,
    Jump,
    Timed,
    read_times,
)

NOON_MS = 1_735_732_800_000
DAY_MS = 24 * 3600 * 1000
FAR_MS = NOON_MS + 80 * 365 * DAY_MS
AT_NOON = EventClock(NOON_MS)


def read(clock: EventClock, *times: int, first: int = 10, jump_ms: int = DAY_MS) -> Timed:
    return read_times(clock, np.array(times, np.int64), np.arange(first, first + len(times)), jump_ms)


def test_stream_time_is_the_largest_time_so_far() -> None:
    timed = read(AT_NOON, NOON_MS + 5, NOON_MS - 9, NOON_MS + 7)
    assert timed.kinds.tolist() == [ORDINARY] * 3
    assert timed.before_ms.tolist() == [NOON_MS, NOON_MS + 5, NOON_MS + 5]
    assert timed.clock == EventClock(NOON_MS + 7)


@pytest.mark.parametrize("time_ms", [-1, -2, EARLIEST_MS - 1, LATEST_MS + 1, -(1 << 62), 1 << 62])
def test_a_time_that_cannot_be_true_moves_nothing(time_ms: int) -> None:
    timed = read(AT_NOON, time_ms)
    assert timed.kinds.tolist() == [UNTIMED]
    assert timed.clock == AT_NOON


@pytest.mark.parametrize("time_ms", [EARLIEST_MS, LATEST_MS])
def test_times_from_1990_to_9999_are_usable(time_ms: int) -> None:
    assert read(EventClock(time_ms), time_ms).clock == EventClock(time_ms)


def test_a_record_as_far_ahead_as_allowed_does_not_jump_and_one_further_does() -> None:
    assert read(AT_NOON, NOON_MS + DAY_MS).clock == EventClock(NOON_MS + DAY_MS)
    ahead = NOON_MS + DAY_MS + 1
    assert read(AT_NOON, ahead).clock == EventClock(NOON_MS, Jump(10, ahead, ahead, 1))


def test_one_record_from_the_year_2106_is_refuted_by_the_next() -> None:
    timed = read(AT_NOON, NOON_MS + 1, FAR_MS, NOON_MS + 2)
    assert timed.kinds.tolist() == [ORDINARY, REFUTED, ORDINARY]
    assert timed.clock == EventClock(NOON_MS + 2)
    assert (timed.confirmed, timed.refuted) == (False, 0)


def test_a_jump_that_began_earlier_is_refuted_with_its_records() -> None:
    timed = read(EventClock(NOON_MS, Jump(3, FAR_MS, FAR_MS, 7)), FAR_MS, NOON_MS)
    assert timed.kinds.tolist() == [REFUTED, ORDINARY]
    assert (timed.refuted, timed.confirmed) == (7, False)


def test_after_a_quiet_week_many_records_in_a_row_confirm_the_time() -> None:
    week = NOON_MS + 7 * DAY_MS
    pending = read(AT_NOON, *[week] * (CONFIRMING_RECORDS - 1))
    assert set(pending.kinds.tolist()) == {UNCONFIRMED}
    assert pending.clock == EventClock(NOON_MS, Jump(10, week, week, CONFIRMING_RECORDS - 1))
    after = read(pending.clock, week + 5, first=200)
    assert (after.kinds.tolist(), after.before_ms.tolist()) == ([ORDINARY], [NOON_MS])
    assert after.clock == EventClock(week + 5)
    assert after.confirmed


def test_ten_records_that_extend_over_the_longest_jump_confirm_the_time() -> None:
    week = NOON_MS + 7 * DAY_MS
    few, day = [week] * (SPREAD_RECORDS - 1), week + DAY_MS
    assert read(AT_NOON, *few, day - 1, day - 1).clock.jump is not None
    assert read(AT_NOON, *few[1:], day, day).clock.jump is not None
    assert read(AT_NOON, *few, day).clock.jump is not None
    assert read(AT_NOON, *few, day, day + 5).clock == EventClock(day + 5)


def test_of_a_topic_with_a_record_a_month_ten_are_confirmed_together() -> None:
    months = [NOON_MS + number * 30 * DAY_MS for number in range(1, SPREAD_RECORDS + 2)]
    timed = read(AT_NOON, *months)
    assert timed.kinds.tolist() == [ORDINARY] * SPREAD_RECORDS + [UNCONFIRMED]
    assert timed.clock == EventClock(months[-2], Jump(10 + SPREAD_RECORDS, months[-1], months[-1], 1))


def test_wrong_times_that_differ_from_each_other_move_nothing() -> None:
    wrong = [NOON_MS + years * 365 * DAY_MS for years in (80, 81, 200, 90, 3000, 3001, 3002, 5, 80)]
    timed = read(AT_NOON, NOON_MS + 1, *wrong, NOON_MS + 2)
    assert timed.kinds.tolist() == [ORDINARY, *[REFUTED] * len(wrong), ORDINARY]
    assert timed.clock == EventClock(NOON_MS + 2)


@pytest.mark.parametrize("before", [1, SPREAD_RECORDS - 1, SPREAD_RECORDS, CONFIRMING_RECORDS - 1])
def test_one_wrong_time_after_a_quiet_week_does_not_become_the_time(before: int) -> None:
    week = NOON_MS + 7 * DAY_MS
    timed = read(AT_NOON, *[week] * before, FAR_MS, *[week + 1] * CONFIRMING_RECORDS)
    assert timed.clock == EventClock(week + 1)
    lost = before + 1 if before < SPREAD_RECORDS else 1
    assert timed.kinds.tolist().count(REFUTED) == lost


def test_a_record_far_below_the_jump_refutes_it_and_begins_another() -> None:
    week = NOON_MS + 7 * DAY_MS
    timed = read(AT_NOON, FAR_MS, week)
    assert timed.kinds.tolist() == [REFUTED, UNCONFIRMED]
    assert timed.clock == EventClock(NOON_MS, Jump(11, week, week, 1))


def test_the_first_time_of_a_partition_is_confirmed_by_the_second() -> None:
    first = read(EventClock(), NOON_MS)
    assert first.clock == EventClock(None, Jump(10, NOON_MS, NOON_MS, 1))
    second = read(first.clock, NOON_MS - 5, first=11)
    assert second.clock == EventClock(NOON_MS)
    assert second.before_ms.tolist() == [NEVER_MS]
    wrong = read(EventClock(), FAR_MS, NOON_MS, NOON_MS)
    assert wrong.kinds.tolist() == [REFUTED, ORDINARY, ORDINARY]


def test_no_records_change_nothing() -> None:
    assert read(AT_NOON).clock == AT_NOON
    pending = EventClock(NOON_MS, Jump(3, FAR_MS, FAR_MS, 7))
    assert read(pending, -1).clock == pending


@pytest.mark.parametrize("seed", range(300))
def test_the_cut_of_the_batches_makes_no_difference(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    monkeypatch.setattr(event_clock, "CONFIRMING_RECORDS", random.choice([2, 3, 5]))
    monkeypatch.setattr(event_clock, "SPREAD_RECORDS", random.choice([1, 2, 4]))
    monkeypatch.setattr(event_clock, "_FIRST_STRETCH", random.choice([1, 3, 256]))
    steps = [random.choice([0, 3, 8, -6, 40, 400]) for _ in range(40)]
    times = [NOON_MS + random.choice([sum(steps[:n]), n, 900]) for n in range(40)]
    whole = read(EventClock(), *times, jump_ms=10)
    clock, kinds, cuts = EventClock(), list[int](), sorted(random.sample(range(40), 5))
    for start, end in zip([0, *cuts], [*cuts, 40], strict=True):
        part = read(clock, *times[start:end], first=10 + start, jump_ms=10)
        if part.refuted:
            kinds = [REFUTED if kind == UNCONFIRMED else kind for kind in kinds]
        if part.confirmed:
            kinds = [ORDINARY if kind == UNCONFIRMED else kind for kind in kinds]
        kinds += part.kinds.tolist()
        clock = part.clock
    assert (kinds, clock) == (whole.kinds.tolist(), whole.clock)
