"""Windows: keys of panes, which rows count, and what a change of the rules keeps."""

from itertools import pairwise

import pytest

from tables.model.event_clock import EventClock, Jump
from tables.model.names import STATE_KEY
from tables.model.windows import (
    END_OF_PANES,
    FIRST_PANE_KEY,
    Pane,
    SizeRule,
    WindowRules,
    WindowState,
    begun,
    dead_ranges,
    epoch_prefix,
    is_pane_key,
    pane_of,
    windows_at,
)

MINUTE = SizeRule(60, 5, 600)
HOUR = SizeRule(3600, 0, 7200)
RULES = WindowRules((MINUTE, HOUR))
T = 1_735_732_800
"""A full hour."""


def state(stream_s: int | None, jump: Jump | None = None, rules: WindowRules = RULES) -> WindowState:
    stream_ms = None if stream_s is None else stream_s * 1000
    return begun(rules, 100).at(EventClock(stream_ms, jump))


@pytest.mark.parametrize("pane", [Pane(60, T), Pane(3600, 0), Pane(60, T, 0), Pane(60, T, 1 << 40)])
@pytest.mark.parametrize("word", [b"", b"a", "\U0010ffff".encode(), b"\x00"])
def test_a_key_names_pane_and_word(pane: Pane, word: bytes) -> None:
    key = pane.prefix + word
    assert is_pane_key(key)
    assert pane_of(key) == (pane, word)
    assert FIRST_PANE_KEY <= key < END_OF_PANES < STATE_KEY


def test_words_sort_before_panes_and_panes_by_size_and_time() -> None:
    keys = [
        b"",
        b"a",
        "\U0010ffff".encode(),
        Pane(60, T, 7).prefix,
        Pane(60, T).prefix + b"z",
        Pane(60, T + 60).prefix + b"a",
        Pane(3600, T - 3600).prefix,
        STATE_KEY,
    ]
    assert all(left < right for left, right in pairwise(keys))
    assert not is_pane_key(b"a")
    assert not is_pane_key(b"")


@pytest.mark.parametrize("rule", [MINUTE, HOUR, SizeRule(7, 0, 0), SizeRule(7, 3, 1)])
def test_a_pane_is_kept_until_its_grace_and_retention_are_over(rule: SizeRule) -> None:
    for stream_s in range(T, T + 3 * rule.size_s, max(1, rule.size_s // 7)):
        first = rule.first_kept_s(stream_s * 1000)
        assert first % rule.size_s == 0
        assert first + rule.size_s + rule.grace_s + rule.retention_s > stream_s
        assert first + rule.grace_s + rule.retention_s <= stream_s
    assert rule.first_kept_s(None) == 0
    assert rule.first_kept_s(1000) == 0


def test_a_window_is_closed_when_its_grace_is_over() -> None:
    assert not MINUTE.is_closed(T, (T + 65) * 1000 - 1)
    assert MINUTE.is_closed(T, (T + 65) * 1000)
    assert not MINUTE.is_closed(T, None)


def test_rows_count_while_their_pane_is_kept_and_only_of_the_present_jump() -> None:
    now = state(T + 665, Jump(150, (T + 10**6) * 1000, (T + 10**6) * 1000, 1))
    assert not now.is_live(Pane(60, T), 160)
    assert now.is_live(Pane(60, T + 60), 160)
    assert not now.is_live(Pane(60, T + 60), 100), "a row of an earlier time in which the size was counted"
    assert now.is_live(Pane(3600, T), 160)
    assert not now.is_live(Pane(7, T + 600), 160)
    assert now.is_live(Pane(60, T + 10**6, 150), 160)
    assert not now.is_live(Pane(60, T + 10**6, 149), 160)
    assert state(None).is_live(Pane(60, T), 101)


def test_dead_ranges_have_exactly_the_keys_that_do_not_count() -> None:
    for now in (
        state(None),
        state(T + 665),
        state(T, Jump(150, T, T, 1)),
        state(T + 10**6, rules=WindowRules((HOUR,))),
    ):
        ranges = dead_ranges(now)
        for pane in [
            *(Pane(size, start) for size in (30, 60, 61, 3600, 7200) for start in (0, T, T + 60, T + 10**7)),
            *(Pane(60, T, epoch) for epoch in (0, 149, 150, 151)),
        ]:
            for word in (b"", b"a", b"\xf4"):
                key = pane.prefix + word
                is_dead = any(start <= key < end for start, end in ranges)
                assert is_dead is not now.is_kept(pane), (now, pane)
        assert all(left[1] <= right[0] for left, right in pairwise(ranges))
    assert dead_ranges(None) == [(FIRST_PANE_KEY, END_OF_PANES)]


def test_windows_that_are_switched_on_begin_at_the_position() -> None:
    assert windows_at(None, WindowRules(), 7) is None
    on = windows_at(None, RULES, 7)
    assert on is not None
    assert [(size.since, size.since_ms) for size in on.sizes] == [(7, None), (7, None)]
    assert windows_at(on, RULES, 99) is on
    assert windows_at(on, WindowRules(), 99) is None


def test_another_rule_keeps_the_windows_and_says_since_when_it_holds() -> None:
    before = state(T + 665)
    longer = WindowRules((SizeRule(60, 5, 6000), SizeRule(300, 0, 600)))
    after = windows_at(before, longer, 500)
    assert after is not None
    assert (after.ruled_from, after.ruled_clock) == (500, before.clock)
    minute, five = after.sizes
    assert (minute.since, five.since, five.since_ms) == (100, 500, (T + 665) * 1000)
    assert not after.is_live(Pane(60, T), 160), "a longer retention brings nothing back"
    assert after.at(EventClock((T + 1265) * 1000)).is_live(Pane(60, T + 60), 160)


def test_times_from_another_source_begin_anew() -> None:
    after = windows_at(state(T), WindowRules((MINUTE,), time_source="/at"), 500)
    assert after is not None
    assert (after.clock, after.sizes[0].since) == (EventClock(), 500)


def test_an_epoch_has_a_range_of_its_own() -> None:
    assert epoch_prefix(5) <= Pane(60, T, 5).prefix < epoch_prefix(6)
