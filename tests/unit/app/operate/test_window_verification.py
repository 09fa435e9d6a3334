"""Windows in the changelog are compared with a recount: each row at the offset up to which it counts, in as many parts as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from app.config.loading import load_settings
from app.kafka.clients import InputRecord
from app.operate import window_recount, window_verification
from app.operate.recount import Definition
from app.operate.window_recount import Part
from app.operate.window_verification import VerifiedWindows, WindowComparison, time_text, verified_windows
from tables.model.names import MARKER_KEY
from tables.model.positions import InputNow
from tables.model.records import ChangelogSlice
from tables.model.rows import Marker, Owner, encode_marker
from tables.model.windows import Pane, SizeRule, WindowRules, WindowState, begun
from tests.fakes.rows import pack_row

BASE_S = 1_700_000_000
RULES = WindowRules((SizeRule(10, 0, 1000),), 60_000)
FIRST, SECOND = Pane(10, BASE_S), Pane(10, BASE_S + 10)
FAR = Pane(10, BASE_S + 1000)
INPUT = [
    (BASE_S, "a b"),
    (BASE_S + 1, "a"),
    (BASE_S + 10, "b"),
    (BASE_S + 1000, "a"),  # too far ahead, and refuted by the next one
    (BASE_S + 3, "late"),
    (BASE_S + 12, "b b"),
    (BASE_S + 1000, "a"),  # too far ahead, and nobody knows yet
]


def state_after(records: int) -> WindowState:
    state = begun(RULES, 0)
    recount = window_recount.WindowRecount(state, window_recount.Chosen(state))
    for offset, (time_s, _) in enumerate(INPUT[:records]):
        recount.take(offset, time_s * 1000, {})
    return state.at(recount.clock)


def marker_at(position: int, **totals: Any) -> Marker:
    return Marker(
        topic="t",
        group="g",
        profile="whitespace/1",
        origin=0,
        position=position,
        windows=state_after(position),
        **totals,
    )


def right_rows() -> dict[bytes, bytes]:
    return {
        FIRST.prefix + b"a": pack_row(2, 2),
        FIRST.prefix + b"b": pack_row(1, 2),
        SECOND.prefix + b"b": pack_row(3, 6),
        FAR._replace(epoch=3).prefix + b"a": pack_row(1, 4),  # refuted since
        FAR._replace(epoch=6).prefix + b"a": pack_row(1, 7),
    }


RIGHT = {"late": {"10": 1}, "untimed": {"jump": 1}}


def compared(marker: Marker, rows: dict[bytes, bytes]) -> VerifiedWindows:
    assert marker.windows is not None
    comparison = WindowComparison(marker, marker.windows, Part(), rows)
    for offset, (time_s, text) in enumerate(INPUT[: comparison.last]):
        words = text.split()
        comparison.take(offset, time_s * 1000, {word: words.count(word) for word in words})
    return comparison.result()


def differing(found: VerifiedWindows) -> list[tuple[str, str, bool, int, int]]:
    return [(one.start, one.word, one.confirmed, one.counted, one.recounted) for one in found.differences]


def test_right_windows_are_right() -> None:
    found = compared(marker_at(7, **RIGHT), right_rows())
    assert (found.counts, found.windows, found.differing, found.totals) == (4, 3, 0, "")
    assert (found.begin, found.position) == (0, 7)


@pytest.mark.parametrize(
    ("key", "row", "difference"),
    [
        (FIRST.prefix + b"a", pack_row(3, 2), (FIRST, "a", True, 3, 2)),
        (FIRST.prefix + b"late", pack_row(1, 5), (FIRST, "late", True, 1, 0)),
        (SECOND.prefix + b"b", None, (SECOND, "b", True, 0, 3)),
        (FAR._replace(epoch=6).prefix + b"a", None, (FAR, "a", False, 0, 1)),
        (FAR.prefix + b"a", pack_row(1, 4), (FAR, "a", True, 1, 0)),
    ],
)
def test_each_wrong_missing_or_invented_count_is_found(
    key: bytes, row: bytes | None, difference: tuple[Pane, str, bool, int, int]
) -> None:
    rows = right_rows()
    rows.pop(key, None)
    if row is not None:
        rows[key] = row
    found = compared(marker_at(7, **RIGHT), rows)
    pane, *rest = difference
    assert differing(found) == [(time_text(pane.start_s * 1000), *rest)]
    assert found.differing == 1


def test_a_row_ahead_of_the_marker_is_compared_where_it_ends() -> None:
    rows = {
        FIRST.prefix + b"a": pack_row(2, 2),
        FIRST.prefix + b"b": pack_row(1, 2),
        SECOND.prefix + b"b": pack_row(3, 6),
    }
    assert compared(marker_at(2), dict(rows)).differing == 0
    rows[SECOND.prefix + b"b"] = pack_row(1, 6)
    assert differing(compared(marker_at(2), rows)) == [(time_text(SECOND.start_s * 1000), "b", True, 1, 3)]


def test_clock_late_and_untimed_records_are_compared() -> None:
    assert (
        compared(marker_at(7), right_rows()).totals
        == "late {} (recount {'10': 1}), untimed {} (recount {'jump': 1})"
    )
    marker = marker_at(7, **RIGHT)
    assert marker.windows is not None
    wrong = msgspec.structs.replace(marker, windows=marker.windows.at(state_after(6).clock))
    rows = {key: row for key, row in right_rows().items() if key[:1] != b"\xfc"}
    assert compared(wrong, rows).totals == (
        "event time 2023-11-14T22:13:32Z (recount 2023-11-14T22:13:32Z and 1 records from offset 6 on at "
        "2023-11-14T22:30:00Z to 2023-11-14T22:30:00Z)"
    )


def test_of_a_time_before_the_rules_only_what_is_too_little_is_wrong() -> None:
    marker = marker_at(7, late={"10": 5}, untimed={"jump": 1, "missing_time": 3})
    older = msgspec.structs.replace(
        marker, origin=0, windows=msgspec.structs.replace(marker.windows, ruled_from=2)
    )
    assert older.windows is not None
    assert compared_from(older, 2).totals == ""
    assert (
        "late {} (recount, from offset 2 on, {'10': 1})"
        in compared_from(msgspec.structs.replace(older, late={}), 2).totals
    )


def compared_from(marker: Marker, begin: int) -> VerifiedWindows:
    assert marker.windows is not None
    windows = msgspec.structs.replace(marker.windows, ruled_clock=state_after(begin).clock)
    comparison = WindowComparison(marker, windows, Part(), right_rows())
    for offset, (time_s, text) in list(enumerate(INPUT))[begin:]:
        comparison.take(offset, time_s * 1000, dict.fromkeys(text.split(), 1))
    return comparison.result()


def test_a_window_that_former_rules_may_have_touched_is_left_out() -> None:
    marker = marker_at(7, **RIGHT)
    former = msgspec.structs.replace(marker, windows=msgspec.structs.replace(marker.windows, ruled_from=2))
    found = compared_from(former, 2)
    assert (found.left_out, found.windows) == (1, 2)


class Topics:
    """Stands for `ComparedTopics`: a changelog of these records, and `INPUT`."""

    owner = Owner("g", "t")

    def __init__(self, changelog: Sequence[tuple[bytes, bytes]]) -> None:
        self.settings = load_settings(profile="whitespace")
        self.definition = Definition(self.settings)
        self.reader = self.source = self
        self.reads = 0
        self._changelog = changelog

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        self.reads += 1
        for number, one in enumerate(self._changelog):
            yield ChangelogSlice.of([one], number + 1)

    async def changelog_end(self, partition: int) -> int:
        return len(self._changelog)

    async def input_now(self, partition: int) -> InputNow:
        return InputNow("t", "", partition, 0, len(INPUT))

    def problem(self, *_: object) -> str:
        return ""

    async def records(self, partition: int, start: int, end: int) -> AsyncIterator[InputRecord]:
        for offset, (time_s, text) in list(enumerate(INPUT))[start:end]:
            yield InputRecord(offset, text.encode(), time_s * 1000)


def changelog_of(rows: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [*rows.items(), (b"word", pack_row(1, 7)), (MARKER_KEY, encode_marker(marker_at(7, **RIGHT)))]


def test_a_tombstone_removes_a_row_and_an_older_row_is_not_taken() -> None:
    rows = changelog_of(right_rows())
    key = FIRST.prefix + b"a"
    stale = [(key, pack_row(1, 1)), *rows[:-1], (key, pack_row(1, 1)), rows[-1]]
    assert not asyncio.run(verified_windows(Topics(stale), 0, None)).differs  # type: ignore[arg-type]
    removed = [*rows[:-1], (key, b""), rows[-1]]
    found = asyncio.run(verified_windows(Topics(removed), 0, None))  # type: ignore[arg-type]
    assert [(one.word, one.counted, one.recounted) for one in found.differences] == [("a", 0, 2)]


@pytest.mark.parametrize(("word", "most"), [(None, 3), ("b", 1)])
def test_more_counts_than_can_be_held_are_compared_in_parts(
    word: str | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = right_rows() | {FIRST.prefix + b"b": pack_row(9, 2)}
    whole = Topics(changelog_of(rows))
    expected = asyncio.run(verified_windows(whole, 0, word))  # type: ignore[arg-type]
    assert (whole.reads, expected.differing) == (1, 1)
    for module in (window_recount, window_verification):
        monkeypatch.setattr(module, "MOST_COUNTS", most)
    parted = Topics(changelog_of(rows))
    found = asyncio.run(verified_windows(parted, 0, word))  # type: ignore[arg-type]
    assert parted.reads > 2
    assert (found.counts, found.differing, found.differences, found.totals) == (
        expected.counts,
        expected.differing,
        expected.differences,
        expected.totals,
    )


def test_counts_without_end_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (window_recount, window_verification):
        monkeypatch.setattr(module, "MOST_COUNTS", 0)
    monkeypatch.setattr(window_verification, "MOST_PARTS", 8)
    found = asyncio.run(verified_windows(Topics(changelog_of(right_rows())), 0, None))  # type: ignore[arg-type]
    assert found.impossible == "more than 0 counts: choose one by --word"


def test_a_key_that_is_no_window_is_named() -> None:
    with pytest.raises(
        Exception, match=r"the changelog holds the key b'\\xfdshort', which is neither a word nor"
    ):
        asyncio.run(verified_windows(Topics([(b"\xfdshort", pack_row(1, 1)), *changelog_of({})]), 0, None))  # type: ignore[arg-type]
