"""The mutants of windows: each function patches a part of the rules 19 and 20 out of `tables`."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from agents.text import grouped_words as grouped_words_module
from app.reads import pane_parties as pane_parties_module
from tables.cache.pane_counts import PaneCaches
from tables.model import windowing as windowing_module
from tables.model.event_clock import EventClock, Timed, read_times
from tables.model.partial_replay import tally_beyond
from tables.model.records import Int64Array, RecordBatch
from tables.model.rows import Marker
from tables.model.tally import PaneTally, Windowed
from tables.model.windowing import Grouped, group_records
from tables.model.windows import CountedSize, Pane, WindowState
from tables.partitions import counting as counting_module
from tables.partitions.counting import BufferCount, Counted
from tables.partitions.expiry import Expired, Expiry
from tables.partitions.shard import Shard
from tables.top.pane_leaders import Closing, PaneLeaders

Patch = pytest.MonkeyPatch


def late_decided_by_the_cut_of_batches(patch: Patch) -> None:
    """A record is late by the stream time before its buffer, not before the record."""

    def timed(clock: EventClock, times: Int64Array, offsets: Int64Array, max_jump_ms: int) -> Timed:
        found = read_times(clock, times, offsets, max_jump_ms)
        if clock.stream_ms is None:
            return found
        before = np.full_like(found.before_ms, clock.stream_ms)
        return Timed(found.kinds, before, found.clock, found.confirmed, found.refuted)

    patch.setattr(windowing_module, "read_times", timed)


def event_time_forgotten_by_the_marker(patch: Patch) -> None:
    """The stream time lives in memory; after a restart it begins anew."""
    advanced = Marker.advanced

    def without_time(
        marker: Marker, position: int, totals: Any, windows: WindowState | None = None, ids: Any = None
    ) -> Marker:
        forgotten = windows and windows.at(EventClock(None, windows.jump))
        return advanced(marker, position, totals, forgotten, ids)

    patch.setattr(Marker, "advanced", without_time)


def jumps_forgotten_by_the_marker(patch: Patch) -> None:
    """Only the records of one buffer confirm a jump."""

    def within_one_buffer(windows: WindowState, clock: EventClock) -> WindowState:
        return msgspec.structs.replace(windows, clock=EventClock(clock.stream_ms))

    patch.setattr(WindowState, "at", within_one_buffer)


def one_record_moves_the_stream_time(patch: Patch) -> None:
    """Nothing is too far ahead."""

    def unbounded(windows: WindowState, times: Int64Array, offsets: Int64Array) -> Grouped:
        return group_records(msgspec.structs.replace(windows, max_jump_ms=1 << 60), times, offsets)

    patch.setattr(grouped_words_module, "group_records", unbounded)


def expired_rows_come_back(patch: Patch) -> None:
    patch.setattr(CountedSize, "first_kept_s", lambda size, stream_ms: 0)


def confirmed_rows_stay_where_they_are(patch: Patch) -> None:
    def not_moved(count: BufferCount, windowed: Windowed, windows: WindowState) -> Sequence[PaneTally]:
        return windowed.panes

    patch.setattr(BufferCount, "_with_confirmed", not_moved)


def confirmed_rows_counted_again_after_a_torn_flush(patch: Patch) -> None:
    """A torn flush has moved the rows of a jump already; its replay moves them once more."""
    with_confirmed = BufferCount._with_confirmed

    def moved_again(count: BufferCount, windowed: Windowed, windows: WindowState) -> Sequence[PaneTally]:
        count._uptos_ahead = {}
        return with_confirmed(count, windowed, windows)

    patch.setattr(BufferCount, "_with_confirmed", moved_again)


def panes_of_a_torn_flush_counted_twice(patch: Patch) -> None:
    def without_panes(uptos_ahead: Any, *arguments: Any) -> Any:
        words = {key: upto for key, upto in uptos_ahead.items() if key < b"\xfc"}
        return tally_beyond(words, *arguments)

    patch.setattr(counting_module, "tally_beyond", without_panes)


def panes_taken_for_empty_after_a_restore(patch: Patch) -> None:
    def restored(panes: PaneCaches, windows: WindowState | None, *, exact: bool) -> None:
        panes.begun()

    patch.setattr(PaneCaches, "restored", restored)


def pane_counts_kept_through_a_restore(patch: Patch) -> None:
    def restored(panes: PaneCaches, windows: WindowState | None, *, exact: bool) -> None:
        """Forget nothing."""

    patch.setattr(PaneCaches, "restored", restored)


def forgotten_panes_taken_for_empty(patch: Patch) -> None:
    def forget(panes: PaneCaches, pane: Pane) -> None:
        del panes._panes[pane]

    patch.setattr(PaneCaches, "_forget", forget)
    trim = PaneCaches.trim
    patch.setattr(PaneCaches, "trim", lambda panes, windows, most: trim(panes, windows, 2))


def pane_counts_updated_before_the_commit(patch: Patch) -> None:
    count = BufferCount.count

    def updated(buffer: BufferCount, *arguments: Any) -> Counted:
        counted = count(buffer, *arguments)
        for one in counted.panes:
            buffer._panes.update(one.pane, one.ids, one.counts)
        return counted

    patch.setattr(BufferCount, "count", updated)
    patch.setattr(PaneCaches, "restored", lambda *arguments, **options: None)


def tombstones_before_their_marker(patch: Patch) -> None:
    """Rows are removed that count no longer by the flush under way, which may never become durable."""

    def count(shard: Shard, batches: Sequence[RecordBatch]) -> Counted:
        marker = shard.marker
        assert marker is not None
        shard.renew_cache()
        buffer = BufferCount(shard.store, shard.services, shard.cache, shard.panes, shard.uptos_ahead)
        after = buffer.count(marker, batches).marker.windows
        expired = shard.expiry.find(after) if after is not None else Expired((), ())
        return buffer.count(marker, batches, expired)

    patch.setattr(Shard, "_count", count)


def a_range_too_long_is_cleared(patch: Patch) -> None:
    find = Expiry.find

    def beyond(expiry: Expiry, windows: WindowState | None) -> Expired:
        found = find(expiry, windows)
        return Expired(found.keys, [(first, first[:5] + b"\xff") for first, _ in found.ranges])

    patch.setattr(Expiry, "find", beyond)


def open_windows_taken_for_closed(patch: Patch) -> None:
    """The most frequent words of a window are kept although it takes records still."""

    def always(windows: WindowState, pane: Pane) -> Closing | None:
        size = windows.size(pane.size_s)
        if size is None or pane.epoch is not None:
            return None
        return Closing(windows.ruled_from, size.since, size.rule)

    patch.setattr(pane_parties_module, "closing_of", always)


def notes_without_the_last_flush(patch: Patch) -> None:
    """A window that a flush closes is noted with the counts before that flush."""
    after = PaneCaches.leaders_after

    def before(panes: PaneCaches, pane: Pane, ids: Int64Array, counts: Int64Array) -> PaneLeaders | None:
        return after(panes, pane, ids[:0], counts[:0])

    patch.setattr(PaneCaches, "leaders_after", before)


def rows_of_a_jump_not_shown(patch: Patch) -> None:
    """Windows that only a pending jump has reached are answered as empty."""
    panes_at = WindowState.panes_at

    def confirmed(windows: WindowState, size_s: int, starts: range) -> list[tuple[int, Pane]]:
        return [(place, pane) for place, pane in panes_at(windows, size_s, starts) if pane.epoch is None]

    patch.setattr(WindowState, "panes_at", confirmed)
