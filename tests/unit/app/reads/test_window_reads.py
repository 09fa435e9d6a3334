"""Windows of the partitions of one process: leaders from notes, from memory and from rows, and the windows of a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.reads import pane_parties
from app.reads.answers import FollowerStatus, PartitionStatus
from app.reads.holdings import Held
from app.reads.queries import WordQueries
from app.reads.store_reads import StoreReads
from app.reads.window_answers import (
    NoWindowError,
    UnknownWindowError,
    WindowExpiredError,
    WindowSize,
)
from tables.errors import BadRequestError
from tables.model.event_clock import Jump
from tables.model.replay import MergedRows
from tables.model.windows import Pane, SizeRule
from tables.partitions.changes import Changes
from tables.top import pane_leaders as pane_leaders_module
from tables.top.pane_leaders import closing_of, note_of
from tables.top.pane_leaders import pane_leaders as leaders_of
from tests.fakes.parties import queries_alone
from tests.fakes.windowed import MINUTE, WindowedPartition, windowed_state, windows_at

SIZE = WindowSize(60, 60)
CLOSED, OPEN = Pane(60, 600), Pane(60, 660)
WINDOWS = windows_at(675)


class Holdings:
    """Answers for all partitions that a test has made."""

    def __init__(self, parts: Mapping[int, WindowedPartition]) -> None:
        self._parts = parts

    def owned(self) -> Collection[int]:
        return self._parts.keys()

    def followed(self) -> Collection[int]:
        return ()

    def partitions(self) -> Mapping[int, PartitionStatus]:
        return {}

    def standbys(self) -> Mapping[int, FollowerStatus]:
        return {}

    def asked(self) -> None:
        pass

    async def held(self, numbers: Collection[int], max_lag_records: int | None, end_s: float) -> Held:
        held = Held()
        for number in numbers:
            held.add(number, self._parts[number].rows, "active")
        return held


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[dict[int, WindowedPartition]]:
    made = {number: WindowedPartition(tmp_path / str(number)) for number in range(2)}
    yield made
    for part in made.values():
        part.store.close()


@pytest.fixture
async def queries(parts: dict[int, WindowedPartition]) -> AsyncIterator[WordQueries]:
    stores = StoreReads(Changes(), print, 1.0)
    yield queries_alone(Holdings(parts), stores, lambda: len(parts), timeout_s=5)
    stores.close()


def note_with(pane: Pane, windows: Any, **counts: int) -> tuple[bytes, bytes]:
    closing = closing_of(windows, pane)
    assert closing is not None
    words = pa.array([word.encode() for word in counts], pa.binary())
    found = leaders_of(words, np.array([*counts.values()], np.int64))
    return pane.note_key, note_of(found, closing)


async def test_the_words_of_a_window_are_added_up_over_partitions_and_say_what_is_final(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    await parts[0].write(WINDOWS, {CLOSED: {"a": 2, "b": 5}, OPEN: {"a": 1}})
    await parts[1].write(windows_at(620), {CLOSED: {"a": 4, "c": 1}}, position=7)
    answer = await queries.windows.top(SIZE, 2, start_s=600)
    assert (answer.value.top.words, answer.value.top.exact) == ([("a", 6), ("b", 5)], True)
    assert (answer.as_of, answer.complete) == ({0: 10, 1: 7}, True)
    span = answer.value.span
    assert (span.start_s, span.end_s, span.final, span.is_final, span.is_whole) == (
        600,
        660,
        [0],
        False,
        True,
    )
    both = await queries.windows.top(SIZE, 9, start_s=600, end_s=720)
    assert both.value.top.words == [("a", 7), ("b", 5), ("c", 1)]


async def test_the_newest_window_that_is_closed_in_all_partitions_is_the_default(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    await parts[0].write(windows_at(800), {Pane(60, 660): {"late": 1}, CLOSED: {"a": 1}})
    await parts[1].write(windows_at(670), {CLOSED: {"a": 1}})
    answer = await queries.windows.top(SIZE, 9)
    assert (answer.value.span.start_s, answer.value.top.words) == (600, [("a", 2)])
    assert answer.value.span.is_final
    # A partition whose records have no times holds nothing up.
    await parts[1].write(windows_at(None), {}, position=11)
    answer = await queries.windows.top(SIZE, 9)
    assert (answer.value.span.start_s, answer.value.span.is_final) == (720, False)


async def test_windows_that_nobody_counts_or_keeps_or_has_closed_are_errors(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    with pytest.raises(UnknownWindowError, match="WORDCOUNT_WINDOWS"):
        await queries.windows.top(SIZE, 1)
    for part in parts.values():
        await part.write(windows_at(65), {})
    with pytest.raises(NoWindowError, match="no window of 1m is final"):
        await queries.windows.top(SIZE, 1)
    with pytest.raises(UnknownWindowError, match="one of 1m"):
        await queries.windows.top(WindowSize(30, 30), 1)
    for part in parts.values():
        await part.write(windows_at(5000), {}, position=11)
    first_s = windows_at(5000).sizes[0].first_kept_s(5_000_000)
    with pytest.raises(WindowExpiredError, match=r"begins at 1970-01-01T01:1.:00Z") as gone:
        await queries.windows.top(SIZE, 1, start_s=first_s - 60)
    assert "the oldest window that is kept begins at" in gone.value.remedy
    assert (await queries.windows.top(SIZE, 1, start_s=first_s)).value.top.words == []


async def test_a_closed_window_is_read_from_its_note(
    parts: dict[int, WindowedPartition], queries: WordQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pane_parties, "scanned", lambda *_: pytest.fail("rows are scanned"))
    for part in parts.values():
        await part.write(WINDOWS, {CLOSED: {"a": 2}}, notes=[note_with(CLOSED, WINDOWS, a=2)])
    assert (await queries.windows.top(SIZE, 1)).value.top.words == [("a", 4)]


async def test_a_window_without_a_note_is_scanned_once(
    parts: dict[int, WindowedPartition], queries: WordQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in parts.values():
        await part.write(WINDOWS, {CLOSED: {"a": 2}})
    assert (await queries.windows.top(SIZE, 1)).value.top.words == [("a", 4)]
    for part in parts.values():
        await part.write(windows_at(680), {}, position=12)
    monkeypatch.setattr(pane_parties, "scanned", lambda *_: pytest.fail("rows are scanned again"))
    answer = await queries.windows.top(SIZE, 1)
    assert (answer.value.top.words, answer.as_of) == ([("a", 4)], {0: 12, 1: 12})


async def test_a_note_of_other_rules_is_not_believed(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    former = note_with(CLOSED, WINDOWS, a=1)
    longer = windows_at(700, rules=[SizeRule(60, 30, 600)], ruled_from=5)
    for part in parts.values():
        await part.write(longer, {CLOSED: {"a": 2}}, notes=[former])
    assert (await queries.windows.top(SIZE, 1)).value.top.words == [("a", 4)]


async def test_rows_that_come_from_the_changelog_into_a_closed_window_make_its_note_and_what_is_known_void(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    for part in parts.values():
        await part.write(WINDOWS, {CLOSED: {"a": 2}}, notes=[note_with(CLOSED, WINDOWS, a=2)])
    assert (await queries.windows.top(SIZE, 1)).value.top.words == [("a", 4)]
    keys = pa.array([CLOSED.prefix + b"a", OPEN.prefix + b"a"], pa.binary())
    rows = MergedRows(keys, np.array([[9, 12], [1, 12]]), np.array([12, 12]))
    await asyncio.to_thread(parts[0].rows.write, rows, windowed_state(WINDOWS, 12))
    assert (await queries.windows.top(SIZE, 1)).value.top.words == [("a", 11)]


async def test_notes_of_expired_windows_go(parts: dict[int, WindowedPartition]) -> None:
    part = parts[0]
    await part.write(WINDOWS, {CLOSED: {"a": 2}}, notes=[note_with(CLOSED, WINDOWS, a=2)])
    await part.write(windows_at(660 + MINUTE.grace_s + MINUTE.retention_s), {}, position=11)
    with part.store.snapshot() as view:
        assert view.value_of(CLOSED.note_key) is None


async def test_words_that_are_not_among_the_leaders_are_looked_up_or_said_to_be_missing(
    parts: dict[int, WindowedPartition], queries: WordQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pane_leaders_module, "MOST_PANE_LEADERS", 1)
    await parts[0].write(WINDOWS, {CLOSED: {"a": 9, "b": 5, "c": 5}})
    await parts[1].write(WINDOWS, {CLOSED: {"b": 6, "a": 1, "c": 5}})
    one = await queries.windows.top(SIZE, 1)
    assert (one.value.top.words, one.value.top.max_error) == ([("b", 11)], None)
    two = await queries.windows.top(SIZE, 2)
    assert (two.value.top.words, two.value.top.max_error) == ([("b", 11), ("a", 10)], 0)
    exact = await queries.windows.top(SIZE, 2, exact=True)
    assert (exact.value.top.words, exact.value.top.exact) == ([("b", 11), ("a", 10)], True)


async def test_the_windows_of_a_word_have_zeros_and_no_rows_that_count_no_longer(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    await parts[0].write(windows_at(675, since=3), {CLOSED: {"a": 50}}, upto=3)
    await parts[0].write(
        windows_at(675, since=3, since_s=500), {Pane(60, 540): {"a": 2}, OPEN: {"a": 1}}, position=12
    )
    jump = Jump(8, 720_000, 730_000, 1)
    await parts[1].write(windows_at(680, jump=jump), {OPEN: {"a": 3}, Pane(60, 720, 8): {"a": 4, "b": 1}})
    answer = await queries.windows.series("a", SIZE, points=4, start_s=540)
    assert [*answer.value.starts] == [540, 600, 660, 720]
    assert [*answer.value.counts] == [2, 0, 4, 4]
    assert (answer.value.final_until_s, answer.value.whole_from_s) == (660, 540)
    newest = await queries.windows.series("a", SIZE, points=2)
    assert ([*newest.value.starts], [*newest.value.counts]) == ([600, 660], [0, 4])
    assert (await queries.windows.series("nowhere", SIZE, points=2)).value.counts == [0, 0]
    with pytest.raises(WindowExpiredError):
        await queries.windows.series("a", WindowSize(120, 60), points=2, start_s=-60)


async def test_a_hopping_window_is_the_sum_of_its_panes(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    size = WindowSize(120, 60)
    await parts[0].write(windows_at(740), {CLOSED: {"a": 1}, OPEN: {"a": 2}, Pane(60, 720): {"a": 4}})
    await parts[1].write(windows_at(745), {CLOSED: {"b": 8}})
    series = await queries.windows.series("a", size, points=3, start_s=540)
    assert ([*series.value.starts], [*series.value.counts]) == ([540, 600, 660], [1, 3, 6])
    top = await queries.windows.top(size, 2)
    assert (top.value.span.start_s, top.value.span.end_s) == (600, 720)
    assert top.value.top.words == [("b", 8), ("a", 3)]


async def test_words_trend_that_are_far_above_their_own_baseline(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    usual = {"the": 100, "fox": 1}
    before = {Pane(60, start_s): usual for start_s in (420, 480, 540)}
    await parts[0].write(WINDOWS, {**before, CLOSED: {"the": 105, "fox": 30, "new": 15, "rare": 2}})
    await parts[1].write(WINDOWS, {CLOSED: {"new": 5}, Pane(60, 540): {"new": 1}})
    answer = await queries.windows.trending(SIZE, 5, baseline=3, min_count=10)
    found = answer.value
    assert [(one.word, one.count, one.before) for one in found.trending.words] == [
        ("fox", 30, 3),
        ("new", 20, 1),
    ]
    assert (found.trending.max_score, found.before_s, found.windows) == (None, 420, 3)
    assert (found.span.start_s, found.span.is_final) == (600, True)
    current = await queries.windows.trending(SIZE, 5, baseline=2, min_count=1, is_open=True)
    assert (current.value.span.start_s, current.value.trending.words) == (660, [])


async def test_a_baseline_begins_with_the_first_window_that_has_a_record(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    """A word at an unchanged rate does not trend because its topic is young."""
    await parts[0].write(WINDOWS, {Pane(60, 540): {"the": 60}, CLOSED: {"the": 60, "new": 30}})
    await parts[1].write(WINDOWS, {})
    found = (await queries.windows.trending(SIZE, 5, baseline=3, min_count=10)).value
    assert (found.before_s, found.windows) == (540, 1)
    assert [(one.word, one.before) for one in found.trending.words] == [("new", 0)]


async def test_words_trend_in_a_window_that_is_named_by_a_time(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    usual = {Pane(60, start_s): {"the": 60} for start_s in (420, 480, 600)}
    await parts[0].write(WINDOWS, {**usual, Pane(60, 540): {"the": 60, "storm": 40}})
    await parts[1].write(WINDOWS, {})
    then = (await queries.windows.trending(SIZE, 5, baseline=2, min_count=10, start_s=540)).value
    assert (then.span.start_s, then.before_s, [one.word for one in then.trending.words]) == (
        540,
        420,
        ["storm"],
    )
    with pytest.raises(WindowExpiredError):
        await queries.windows.trending(SIZE, 5, baseline=2, min_count=10, start_s=-6000)


async def test_more_windows_than_one_answer_has_are_refused_and_none_is_left_out(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    rule = SizeRule(60, 10, 30 * 86_400)
    for part in parts.values():
        await part.write(windows_at(20 * 86_400, rules=[rule]), {})
    ask = partial(queries.windows.series, "a", SIZE, is_clipped=True)
    with pytest.raises(BadRequestError, match="28,801 windows are kept from 1970-01-01T00:00:00Z on"):
        await ask(points=10**9, start_s=0)
    assert len((await ask(points=10_000, start_s=600_000)).value.starts) == 10_000


async def test_nothing_trends_where_there_is_no_window_before(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    for part in parts.values():
        await part.write(windows_at(675, since_s=595), {CLOSED: {"a": 50}})
    with pytest.raises(NoWindowError, match="before 1970-01-01T00:10:00Z is kept, whole and has a record"):
        await queries.windows.trending(SIZE, 5, baseline=3, min_count=1)


async def test_the_overview_says_what_each_partition_knows(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    await parts[0].write(WINDOWS, {})
    answer = await queries.windows.overview()
    assert (answer.value[0].windows, answer.value[0].records) == (WINDOWS, 10)
    assert (answer.value[1].windows, answer.value[1].records) == (None, 0)
    stats = await queries.stats()
    assert list(stats.value.windows) == [0]


async def test_a_long_series_is_read_from_all_partitions_at_once_and_added_up(
    parts: dict[int, WindowedPartition], queries: WordQueries
) -> None:
    kept = SizeRule(60, 10, 86_400)
    windows = windows_at(60_030, rules=[kept])
    for part in parts.values():
        await part.write(windows, {Pane(60, 60 * minute): {"a": minute} for minute in range(1, 1001)})
    answer = await queries.windows.series("a", SIZE, points=1000)
    assert [*answer.value.counts] == [2 * minute for minute in range(1, 1001)]
    assert answer.as_of == {0: 10, 1: 10}
