"""Leaders of panes, the notes that keep them, and the rules by which a note holds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tables.model.windows import Pane, SizeRule
from tables.top import pane_leaders as module
from tables.top.pane_leaders import (
    PaneLeaders,
    closing_of,
    leaders_in,
    leading_places,
    note_of,
    pane_leaders,
)
from tests.fakes.windowed import MINUTE, windows_at

PANE = Pane(60, 600)


def leaders(*counts: tuple[str, int], bound: int = 0) -> PaneLeaders:
    words = pa.array([word.encode() for word, _ in counts], pa.binary())
    return PaneLeaders(words, np.array([count for _, count in counts], np.int64), bound)


def told(found: PaneLeaders | None) -> tuple[list[tuple[bytes, int]], int]:
    assert found is not None
    return list(zip(found.words.to_pylist(), found.counts.tolist(), strict=True)), found.bound


@pytest.mark.parametrize("found", [leaders(), leaders(("the", 5), ("", 2), ("føx", 1), bound=1)])
def test_a_note_has_the_leaders_of_a_pane_that_is_closed_by_the_same_rules(found: PaneLeaders) -> None:
    closing = closing_of(windows_at(670), PANE)
    assert closing is not None
    assert told(leaders_in(note_of(found, closing), closing)) == told(found)
    later = closing_of(windows_at(700), PANE)
    assert later == closing


@pytest.mark.parametrize(
    "changed",
    [
        windows_at(700, ruled_from=5),
        windows_at(700, since=5),
        windows_at(700, rules=[SizeRule(60, 20, 600)]),
    ],
    ids=["rules of a later offset", "size that was left out for a time", "longer grace"],
)
def test_a_note_holds_no_longer_when_the_rules_have_changed(changed) -> None:
    closing, now = closing_of(windows_at(670), PANE), closing_of(changed, PANE)
    assert closing is not None
    assert now is not None
    assert leaders_in(note_of(leaders(), closing), now) is None


@pytest.mark.parametrize("note", [None, b"", b"\x00", b"\xc1"])
def test_what_is_no_note_has_no_leaders(note: bytes | None) -> None:
    closing = closing_of(windows_at(670), PANE)
    assert closing is not None
    assert leaders_in(note, closing) is None


def test_an_open_pane_an_expired_one_and_one_of_a_jump_have_no_rules_of_closing() -> None:
    assert closing_of(windows_at(669), PANE) is None
    assert closing_of(windows_at(660 + MINUTE.grace_s + MINUTE.retention_s), PANE) is None
    assert closing_of(windows_at(700), Pane(60, 600, 3)) is None
    assert closing_of(windows_at(700), Pane(30, 600)) is None


def test_leaders_are_the_largest_counts_in_order_with_a_bound_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_PANE_LEADERS", 2)
    words = pa.array([b"a", b"b", b"c", b"d"], pa.binary())
    assert told(pane_leaders(words, np.array([1, 9, 4, 3]))) == ([(b"b", 9), (b"c", 4)], 3)
    assert told(leaders(("a", 9), ("b", 4), ("c", 2), bound=1).first(1)) == ([(b"a", 9)], 4)
    assert told(leaders(("a", 9), bound=1).first(5)) == ([(b"a", 9)], 1)


def test_all_of_few_counts_are_leaders() -> None:
    places, bound = leading_places(np.array([1, 3, 2]), 3)
    assert (places.tolist(), bound) == ([1, 2, 0], 0)
