"""Records are grouped by their windows, and are left out of windows for the reasons that the page on windows names."""

import numpy as np

from tables.model.event_clock import EventClock, Jump
from tables.model.windowing import LEFT_OUT, Grouped, group_records
from tables.model.windows import Pane, SizeRule, WindowRules, WindowState, begun

T = 1_735_732_800
RULES = WindowRules((SizeRule(60, 5, 600), SizeRule(3600, 0, 7200)))


def windows(stream_s: int | None, jump: Jump | None = None) -> WindowState:
    return begun(RULES, 0).at(EventClock(None if stream_s is None else stream_s * 1000, jump))


def grouped(now: WindowState, *times_s: float) -> Grouped:
    times = np.array([int(time * 1000) if time >= 0 else int(time) for time in times_s], np.int64)
    return group_records(now, times, np.arange(20, 20 + len(times)))


def panes_of(found: Grouped, count: int) -> list[list[tuple[int, int]]]:
    """Return for each record its panes as (size, seconds after T)."""
    panes: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for group in found.groups:
        for index in range(count) if group.indices is None else group.indices.tolist():
            panes[index] = [(pane.size_s, pane.start_s - T) for pane in group.panes]
    return panes


def test_records_of_one_window_are_one_group() -> None:
    found = grouped(windows(T), T + 1, T + 59, T + 2)
    (group,) = found.groups
    assert group.indices is None
    assert group.panes == [Pane(60, T), Pane(3600, T)]
    assert found.clock == EventClock((T + 59) * 1000)


def test_each_record_is_in_one_group_and_counts_in_one_pane_of_each_size() -> None:
    found = grouped(windows(T), T + 1, T + 61, T + 1.5, -1, T + 3601)
    assert panes_of(found, 5) == [
        [(3600, 0)],
        [(3600, 0)],
        [(3600, 0)],
        [],
        [(60, 3600), (3600, 3600)],
    ], "the minutes are expired at the end of the records"
    indices = [group.indices for group in found.groups if group.indices is not None]
    assert sorted(np.concatenate(indices).tolist()) == [0, 1, 2, 3, 4]


def test_a_record_may_be_late_for_one_size_and_in_time_for_another() -> None:
    found = grouped(windows(T + 65), T + 59, T + 60)
    assert panes_of(found, 2) == [[(3600, 0)], [(60, 60), (3600, 0)]]
    assert found.late == {"60": 1}
    assert [LEFT_OUT[reason] for reason in found.reasons] == ["late", ""]


def test_a_record_is_late_by_the_time_before_it_not_by_its_own() -> None:
    found = grouped(windows(T), T + 3, T + 66, T + 4)
    assert panes_of(found, 3)[0] == [(60, 0), (3600, 0)]
    assert panes_of(found, 3)[2] == [(3600, 0)]


def test_windows_that_expire_within_the_records_are_never_counted() -> None:
    found = grouped(windows(T), T + 1, T + 666)
    assert panes_of(found, 2) == [[(3600, 0)], [(60, 660), (3600, 0)]]
    assert found.late == {}


def test_records_without_a_usable_time_are_told_by_reason() -> None:
    found = grouped(windows(T), -1, -2, 5, T + 10**9, T)
    assert found.untimed == {"missing_time": 1, "unreadable_time": 1, "impossible_time": 1, "jump": 1}
    assert panes_of(found, 5)[:4] == [[], [], [], []]


def test_an_unconfirmed_record_counts_in_panes_of_its_jump() -> None:
    found = grouped(windows(T), T + 1, T + 10**9)
    assert found.unconfirmed.tolist() == [False, True]
    (ahead,) = [
        group for group in found.groups if group.indices is not None and group.indices.tolist() == [1]
    ]
    assert {pane.epoch for pane in ahead.panes} == {21}
    assert len(ahead.panes) == 2
    assert found.untimed == {}


def test_a_jump_of_earlier_records_that_is_refuted_is_told_with_all_its_records() -> None:
    found = grouped(windows(T, Jump(3, (T + 10**9) * 1000, (T + 10**9) * 1000, 7)), T + 1)
    assert found.untimed == {"jump": 7}


def test_no_records_have_no_groups() -> None:
    assert grouped(windows(T)).groups == []
