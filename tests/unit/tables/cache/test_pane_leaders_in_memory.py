"""Leaders of open windows by the counts in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tables.cache import pane_counts as module
from tables.cache.pane_counts import PaneCaches
from tables.cache.vocabulary import Vocabulary
from tables.cache.word_table import NO_ID
from tables.model.windows import Pane
from tests.fakes.windowed import windows_at

PANE = Pane(60, 600)


def ids_of(vocabulary: Vocabulary, *words: bytes) -> np.ndarray:
    return vocabulary.ids(pa.array(words, pa.binary()))


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(2)


@pytest.fixture
def panes(vocabulary: Vocabulary) -> PaneCaches:
    """The counts of a pane that began empty, at position 5."""
    panes = PaneCaches(vocabulary)
    panes.begun()
    panes.update(PANE, ids_of(vocabulary, b"a", b"b"), np.array([2, 7]))
    panes.settle(5)
    return panes


def words_of(found) -> list[tuple[bytes, int]]:
    return list(zip(found.words.to_pylist(), found.counts.tolist(), strict=True))


def test_counts_in_memory_tell_the_leaders_at_their_position_only(panes: PaneCaches) -> None:
    found = panes.leaders(PANE, 5)
    assert found is not None
    assert (words_of(found), found.bound) == ([(b"b", 7), (b"a", 2)], 0)
    assert panes.leaders(PANE, 4) is None
    assert panes.leaders(Pane(60, 660), 5) is None
    panes.withdraw()
    assert panes.leaders(PANE, 5) is None


def test_what_a_flush_leads_to_is_told_without_changing_what_readers_see(
    panes: PaneCaches, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert panes.leaders_after(PANE, ids_of(vocabulary, b"a"), np.array([9])) is None, "few rows need no note"
    monkeypatch.setattr(module, "MOST_PANE_LEADERS", 1)
    after = panes.leaders_after(PANE, ids_of(vocabulary, b"a"), np.array([9]))
    assert after is not None
    assert (words_of(after), after.bound) == ([(b"a", 9)], 7)
    now = panes.leaders(PANE, 5)
    assert now is not None
    assert (words_of(now), now.bound) == ([(b"b", 7)], 2)


def test_a_pane_with_a_word_that_has_no_id_tells_no_leaders(panes: PaneCaches) -> None:
    assert panes.leaders_after(PANE, np.array([NO_ID]), np.array([1])) is None
    panes.update(PANE, np.array([NO_ID]), np.array([1]))
    assert panes.leaders(PANE, 5) is None
    assert panes.leaders_after(PANE, np.array([], np.int64), np.array([], np.int64)) is None


def test_a_pane_that_had_rows_before_tells_no_leaders(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PANE_LEADERS", 1)
    panes = PaneCaches(vocabulary)
    panes.restored(windows_at(650), exact=True)
    panes.update(PANE, ids_of(vocabulary, b"a"), np.array([2]))
    panes.settle(5)
    assert panes.leaders(PANE, 5) is None
    after = panes.leaders_after(Pane(60, 660), ids_of(vocabulary, b"a", b"b"), np.array([2, 1]))
    assert after is not None
    assert (words_of(after), after.bound) == ([(b"a", 2)], 1)


def test_many_counts_are_told_as_leaders_and_a_bound(
    panes: PaneCaches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PANE_LEADERS", 1)
    found = panes.leaders(PANE, 5)
    assert found is not None
    assert (words_of(found), found.bound) == ([(b"b", 7)], 2)
