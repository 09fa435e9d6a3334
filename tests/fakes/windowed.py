"""Partitions with rows of windows, in stores of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rocksdict import Cache

from tables.cache.counts import CountCache
from tables.cache.vocabulary import Vocabulary
from tables.model.event_clock import EventClock, Jump
from tables.model.rows import Marker, StoreState
from tables.model.windows import CountedSize, Pane, SizeRule, WindowState
from tables.partitions.served_rows import ServedRows
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row

MINUTE = SizeRule(60, 10, 600)


def windows_at(
    stream_s: int | None,
    *,
    rules: Sequence[SizeRule] = (MINUTE,),
    since: int = 0,
    since_s: int | None = None,
    ruled_from: int = 0,
    jump: Jump | None = None,
) -> WindowState:
    """Windows of a partition whose stream time is `stream_s`."""
    return WindowState(
        clock=EventClock(None if stream_s is None else stream_s * 1000, jump),
        sizes=tuple(CountedSize(rule, since, None if since_s is None else since_s * 1000) for rule in rules),
        max_jump_ms=3_600_000,
        time_source="record",
        ruled_from=ruled_from,
        ruled_clock=EventClock(),
    )


def windowed_state(windows: WindowState | None, position: int = 10) -> StoreState:
    marker = Marker(
        topic="texts",
        profile="p",
        origin=0,
        position=position,
        records=position,
        counted=position,
        windows=windows,
    )
    return StoreState(marker=marker, examined=position, max_upto=position)


class WindowedPartition:
    """A partition whose rows a test writes."""

    def __init__(self, folder: Path, panes: Any = None) -> None:
        self.store = PartitionStore(folder, Cache(1 << 20))
        self._cache = CountCache(Vocabulary(100), complete=False)
        self.rows = ServedRows(self.store, lambda: self._cache, panes=panes)

    async def write(
        self,
        windows: WindowState | None,
        counts: Mapping[Pane, Mapping[str, int]],
        *,
        position: int = 10,
        notes: Sequence[tuple[bytes, bytes]] = (),
        upto: int | None = None,
    ) -> None:
        """Write the counts of panes, as of `position`; their rows count up to `upto`, by default the position."""
        rows = {
            pane.prefix + word.encode(): pack_row(count, upto or position)
            for pane, words in counts.items()
            for word, count in words.items()
        }
        keys = sorted(rows)
        state = windowed_state(windows, position)
        state = msgspec.structs.replace(state, examined=max(position, self.store.state.examined))

        def commit() -> None:
            staged = self.store.stage(keys, [rows[key] for key in keys])
            self.rows.commit(staged, state, notes=notes)

        await asyncio.to_thread(commit)
