"""Looks: no window is left behind before it is final, each is looked at in turn, and a round is bounded."""

from __future__ import annotations

import pytest

from app.reads.window_answers import WindowSize
from app.reads.window_choice import Choice
from app.watches.looks import first_since_s, is_beyond, looks, since_of
from tables.model.event_clock import EventClock
from tables.model.windows import CountedSize, SizeRule, WindowState
from tests.fakes.watches import START_S

MINUTE = WindowSize(60, 60)
HOP = WindowSize(180, 60)


def choice(*minutes: float | None, size: WindowSize = MINUTE, retention_s: int = 86_400) -> Choice:
    """Windows of partitions whose stream times are so many minutes after the beginning; a grace of 30 s."""
    windows = {
        number: WindowState(
            clock=EventClock(None if minute is None else int((START_S + minute * 60) * 1000)),
            sizes=(CountedSize(SizeRule(60, 30, retention_s), 0, START_S * 1000),),
            max_jump_ms=86_400_000,
            time_source="record",
            ruled_from=0,
            ruled_clock=EventClock(),
        )
        for number, minute in enumerate(minutes)
    }
    return Choice(size, windows, dict.fromkeys(windows, 1))


def minutes(*ranges: range) -> list[int]:
    return [(start_s - START_S) // 60 for one in ranges for start_s in one]


def at(minute: int) -> int:
    return START_S + minute * 60


def test_windows_are_left_behind_when_they_are_final_and_looked_at():
    found = looks(choice(5.2, 5.6), at(0), 0, near=2, most=10)
    assert minutes(found.final) == [0, 1, 2, 3]
    assert minutes(*found.others) == [4, 5]
    assert not found.is_behind


def test_a_window_of_several_panes_is_final_with_its_last_pane():
    found = looks(choice(5.6, size=HOP), at(0), 0, near=10, most=10)
    assert minutes(found.final) == [0, 1, 2]
    assert minutes(*found.others) == [3, 4, 5]


def test_final_windows_are_looked_at_in_order_and_a_few_in_a_round():
    found = looks(choice(20.6), at(0), 0, near=2, most=8)
    assert (minutes(found.final), found.is_behind) == ([*range(8)], True)
    assert minutes(*found.others) == [20]


def test_a_partition_that_stands_still_holds_windows_back_which_are_looked_at_in_turn():
    seen, turn_s, many = set(), 0, choice(20.6, 2.6)
    first = looks(many, at(2), turn_s, near=2, most=8)
    assert minutes(first.final) == []
    for _ in range(first.rounds):
        found = looks(many, at(2), turn_s, near=2, most=8)
        assert len(minutes(*found.others)) <= 10
        assert {19, 20} <= set(minutes(*found.others))
        seen |= set(minutes(*found.others))
        turn_s = found.next_turn_s
    assert seen == {*range(2, 21)}


@pytest.mark.parametrize("begins_at", range(2, 20))
@pytest.mark.parametrize("most", [1, 2, 5, 8, 30])
def test_wherever_in_turn_a_round_begins_all_windows_were_looked_at_after_as_many_rounds_as_it_says(
    begins_at, most
):
    seen, turn_s, many, count = set(), at(begins_at), choice(20.6, 2.6), 0
    while True:
        found = looks(many, at(2), turn_s, near=2, most=most)
        seen |= set(minutes(*found.others))
        turn_s, count = found.next_turn_s, count + 1
        if count >= found.rounds:
            break
    assert seen == {*range(2, 21)}
    assert count <= -(-17 // most) + 1


def test_a_partition_without_a_time_holds_all_windows_back():
    found = looks(choice(5.6, None), at(0), 0, near=2, most=8)
    assert (minutes(found.final), found.since_s) == ([], at(0))


def test_windows_that_are_not_kept_are_left_behind():
    found = looks(choice(20.6, retention_s=300), at(0), 0, near=2, most=100)
    assert found.since_s == at(15)
    assert minutes(found.final) == [*range(15, 20)]


def test_nothing_is_looked_at_before_there_is_a_time():
    found = looks(choice(None), 0, 0, near=2, most=8)
    assert (found.final, found.others, found.is_behind) == (range(0, 0, 60), (), False)


def test_a_new_watch_looks_at_windows_that_may_still_be_counted_in():
    assert first_since_s(choice(5.6, 3.2)) == at(2)
    assert first_since_s(choice(0.2, retention_s=60)) == at(0) - 60
    assert since_of(choice(5.6, 3.2), None, at(5)) == at(2)


def test_a_watch_goes_on_where_it_was_also_while_the_counts_are_counted_again():
    recounted = choice(5.6, 3.2)
    assert since_of(recounted, at(4), at(500)) == at(4)
    assert since_of(recounted, at(400), at(500)) == at(400)
    assert (is_beyond(recounted, at(6)), is_beyond(recounted, at(7)), is_beyond(choice(None), at(7))) == (
        False,
        True,
        False,
    )


def test_a_watch_begins_anew_where_it_looked_at_a_future_that_is_gone():
    in_2106_s = 4_294_967_280
    assert since_of(choice(5.6, 3.2), in_2106_s, at(500)) == at(2)
    still_there = choice(5.6, (in_2106_s - START_S) / 60)
    assert since_of(still_there, in_2106_s, at(500)) == in_2106_s
