"""Which panes have the rows of a window, and which notes of panes go."""

from __future__ import annotations

import pytest

from tables.model.event_clock import Jump
from tables.model.windows import NOTE_BYTE, Pane, SizeRule, gone_notes
from tests.fakes.windowed import MINUTE, windows_at


def test_the_rows_of_a_window_are_in_its_pane_until_it_expires() -> None:
    assert windows_at(600).panes_at(60, range(600, 600 + 1)) == [(0, Pane(60, 600))]
    assert windows_at(599).panes_at(60, range(600, 600 + 1)) == []
    assert windows_at(None).panes_at(60, range(600, 600 + 1)) == []
    assert windows_at(600).panes_at(30, range(600, 600 + 1)) == []
    gone_s = 660 + MINUTE.grace_s + MINUTE.retention_s
    assert windows_at(gone_s - 1).panes_at(60, range(600, 600 + 1)) == [(0, Pane(60, 600))]
    assert windows_at(gone_s).panes_at(60, range(600, 600 + 1)) == []


def test_rows_of_a_jump_are_apart_and_may_be_in_a_window_that_has_others() -> None:
    windows = windows_at(600, jump=Jump(7, 640_000, 800_000, 2))
    assert windows.panes_at(60, range(540, 540 + 1)) == [(0, Pane(60, 540))]
    assert windows.panes_at(60, range(600, 600 + 1)) == [(0, Pane(60, 600, 7)), (0, Pane(60, 600))]
    assert windows.panes_at(60, range(780, 780 + 1)) == [(0, Pane(60, 780, 7))]
    assert windows.panes_at(60, range(840, 840 + 1)) == []


def test_notes_go_with_the_panes_that_are_no_longer_kept() -> None:
    before = windows_at(5000)
    first = before.sizes[0].first_kept_s(5_000_000)
    later = gone_notes(before, windows_at(5120))
    assert later == [(NOTE_BYTE + Pane(60, first).prefix, NOTE_BYTE + Pane(60, first + 120).prefix)]
    assert gone_notes(before, windows_at(5001)) == []
    assert gone_notes(None, before) == []
    (all_of_size,) = gone_notes(before, windows_at(5000, rules=[SizeRule(30, 0, 600)]))
    assert all_of_size == gone_notes(before, None)[0]
    assert all_of_size[0] <= Pane(60, 10**10).note_key < all_of_size[1] <= Pane(61, 0).note_key


def test_the_panes_of_many_windows_are_in_the_order_of_their_keys() -> None:
    windows = windows_at(660, jump=Jump(7, 640_000, 800_000, 2))
    panes = windows.panes_at(60, range(540, 900, 60))
    assert [place for place, _ in panes] == [1, 2, 3, 4, 0, 1, 2]
    prefixes = [pane.prefix for _, pane in panes]
    assert prefixes == sorted(prefixes)


@pytest.mark.parametrize("stream_s", [0, 59, 600, 5000])
@pytest.mark.parametrize("step", [60, 120])
def test_places_are_those_of_windows_that_have_begun_and_are_kept(stream_s: int, step: int) -> None:
    windows = windows_at(stream_s)
    first_s = windows.sizes[0].first_kept_s(stream_s * 1000)
    for start_s in range(0, 6000, 60):
        starts = range(start_s, start_s + 30 * step, step)
        kept = [place for place, at in enumerate(starts) if first_s <= at <= stream_s]
        assert [*windows.places_at(60, starts)] == kept
