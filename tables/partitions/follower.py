"""Follower of one partition: reads the changelog continuously into a store of its own, and answers as of the last marker.

A follower never heals and never appends. Its store is a store like an owner's, in the same folder, so that a take-over hands the open
store to a shard, whose restore reads only the last flushes.

* Readers must see whole flushes. So rows are held until their marker has come, and both are written in one atomic write. If more rows
  come than memory has room for, they are written as rows ahead (rule 10 of ARCHITECTURE.md), and the follower answers nothing until
  their marker comes.
* Compaction keeps of each word the latest record. Where it has been, a row below a marker may have given way to a row behind the
  marker. A marker is therefore written as *whole* only if compaction cannot have been where it was read: the follower was at the end
  of the changelog less than `CATCH_UP_S` ago. Otherwise the follower first reads on to the end of the changelog, as a restore does.
* Where foreign records still have to be healed, the store is not brought past them, as in a restore: a later owner has to find them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow.compute as pc

from tables.cache.counts import CountCache
from tables.cache.vocabulary import VocabularyLimit
from tables.model.names import MARKER_KEY
from tables.model.positions import check_changelog
from tables.model.records import ChangelogSlice
from tables.model.replay import MERGE_BYTES, Replay
from tables.model.rows import Owner
from tables.partitions.restore_progress import RestoreProgress
from tables.partitions.served_rows import ServedRows
from tables.ports import Tailed
from tables.store.partition_store import PartitionStore
from tables.threads import beside_the_loop

CATCH_UP_S = 30.0
"""Longest time since a follower was at the end of its changelog in which compaction cannot have overtaken the follower; well below
the changelog's `min.compaction.lag.ms`, 10 minutes by default."""

HEARD_S = 5.0
"""Longest time since the broker last said where the changelog ends after which a follower still takes itself to be at the end."""

FollowerState = Literal["following", "restoring", "stopped"]
"""`restoring`: on the way to the end of the changelog; `following`: was at the end lately; `stopped`: by an error."""


class Follower:
    """Follows one changelog partition. `begin` and `apply` are called by one thread at a time, the properties by any thread.

    Args:
        partition: number of the partition.
        store: open store of the partition.
        owner: the group and topic whose counts the changelog must have.
        vocabulary: gives the vocabulary of the cache, which stays empty: a follower keeps no counts in memory.
        clock: returns monotonic seconds.

    Attributes:
        served: answers reads.
        next: next changelog offset to read; all records below this offset are in the store, or are held.
        applied: changelog offset below which every marker is in the store, so that readers see the flush of the last marker.
        error: why the follower has stopped; "" = it has not stopped.
        progress: progress of the reading up to the end of the changelog.
    """

    def __init__(
        self,
        partition: int,
        store: PartitionStore,
        owner: Owner,
        vocabulary: VocabularyLimit,
        clock: Callable[[], float],
    ) -> None:
        self.partition = partition
        self.store = store
        self.served = ServedRows(store, self._present_cache)
        self.next = self.applied = store.state.examined
        self.error = ""
        self.progress = RestoreProgress()
        self._owner = owner
        self._vocabulary = vocabulary
        self._cache = CountCache(vocabulary.current, complete=False)
        self._clock = clock
        self._replay: Replay | None = None
        self._most_bytes = MERGE_BYTES
        self._changelog_id = ""
        self._held: list[ChangelogSlice] = []
        """Records behind the last marker, which the replay does not have yet."""
        self._held_bytes = 0
        self._reached = False
        """Whether the end of the changelog was reached once."""
        self._end = self.next
        """End of the changelog as the broker said it last, and when it said so."""
        self._told_s = self._opened_s = clock()
        self._latest_end = 0
        """Newest end that is known; records below it may be too new to be shown."""
        self._at_end_s = -math.inf
        """A time at which all records of the changelog had been read."""
        self._target = 0
        """Compaction may have been below this offset, so that a marker below it may not be whole; the offset was an end, and when."""
        self._target_told_s = -math.inf
        self._marker_at = -1
        """Offset of the replay's marker, or lower."""
        self._rows_behind = False
        """Whether records behind the replay's marker were read."""
        self._whole = store.state.whole
        """Whether the replay's marker is whole, see `StoreState`."""

    @property
    def begun(self) -> bool:
        """Whether `begin` was called."""
        return self._replay is not None

    @property
    def changelog_id(self) -> str:
        """Id of the changelog topic that is followed; "" = not known."""
        return self._changelog_id

    @property
    def state(self) -> FollowerState:
        """What the follower does."""
        if self.error:
            return "stopped"
        return "following" if self._reached and self.next >= self._target else "restoring"

    @property
    def readable(self) -> bool:
        """Whether readers may be answered: the end was reached once, and the rows are those of exactly `[origin, position)`."""
        state = self.store.state
        return self._reached and state.marker is not None and state.exact_position is not None

    @property
    def position(self) -> int:
        """Next source offset that the owner counts, as of the last marker in the store."""
        return self.store.state.position

    @property
    def behind_records(self) -> int:
        """Changelog offsets from `next` to the newest end that is known: an upper bound of the records."""
        return max(0, self._end - self.next, self._latest_end - self.next)

    @property
    def behind_s(self) -> float:
        """Seconds since the follower was last at the end of the changelog, or since it was opened; 0 if it is at the end."""
        now_s = self._clock()
        if self._reached and not self.behind_records and now_s - self._told_s < HEARD_S:
            return 0.0
        return now_s - max(self._at_end_s, self._opened_s)

    def begin(self, changelog_id: str, end: int, asked_s: float, most_bytes: int) -> None:
        """Get ready for `apply`. Called once, after a check that the store can catch up with this changelog.

        Args:
            changelog_id: id of the changelog topic; "" = not known.
            end: offset after the last record of the partition.
            asked_s: when the end was asked for.
            most_bytes: bound of the records that are held, and of those that are merged and not written.
        """
        state = self.store.state
        self._replay = Replay(self.store, state, self._owner, changelog_id, most_bytes=most_bytes)
        self._most_bytes = most_bytes
        self._changelog_id = changelog_id
        self._end = self._target = max(end, self.next)
        self._told_s = self._target_told_s = asked_s
        self.progress.start = self.progress.examined = self.next
        self.progress.end = self._target
        self.progress.begun_s = self._clock()

    @beside_the_loop
    def apply(self, part: Tailed) -> None:
        """Take in what a poll brought, and write the flushes that are complete.

        Args:
            part: records from the offset `next` on.

        Raises:
            InexactError: the changelog is not the owner's, or holds what cannot be. Its records were not written.
            StoreCorruptedError, StoreFullError, StoreUnavailableError: the store cannot be read or written.
        """
        if part.error is not None:
            raise part.error
        replay = self._replay
        assert replay is not None, "apply before begin"
        if part.end is not None:
            self._end, self._told_s = max(part.end, self.next), part.told_s
        self._latest_end = part.latest_end or 0
        if part.slices and self._clock() - max(self._at_end_s, self._target_told_s) > CATCH_UP_S:
            # Compaction may have run just before the records were read, and kept rows up to the newest end.
            self._target, self._target_told_s = max(self._end, self._latest_end), self._told_s
        marker = replay.marker
        for one in part.slices:
            self._add(replay, one)
            if replay.full:
                self._write(replay)
        self._end = max(self._end, self.next)
        self.progress.examined, self.progress.end = self.next, max(self.progress.end, self._end)
        became_whole = not self._whole and self._is_whole(replay)
        self._whole = self._whole or became_whole
        if self._whole and (became_whole or replay.marker is not marker):
            self._write(replay)
        if replay.marker is self.store.state.marker:
            self.applied = self.next  # After the write, because other threads look.
        self._note_place()

    def stop(self, reason: str) -> None:
        """Follow no longer. Readers are still answered as of the last marker."""
        self.error = reason

    def _add(self, replay: Replay, part: ChangelogSlice) -> None:
        """Give `part` to the replay up to its last marker, and hold the rest."""
        first_offset, self.next = self.next, part.next_offset
        count = _records_to_last_marker(part)
        if count:
            self._release(replay)
            head, tail = part.parted_after(count, first_offset)
            replay.apply(head)
            assert replay.marker is not None, "the slice has a marker"
            check_changelog(
                replay.marker, self._changelog_id, f"{self._owner.topic} partition {self.partition}"
            )
            self._marker_at, self._rows_behind = first_offset, False
            self._whole = first_offset >= self._target
        else:
            tail = part
        if tail is not None:
            self._rows_behind = self._rows_behind or bool(tail.record_count)
            self._held.append(tail)
            self._held_bytes += tail.byte_count
        if not self._rows_behind or self._held_bytes > self._most_bytes:
            self._release(replay)

    def _release(self, replay: Replay) -> None:
        """Give the held records to the replay."""
        for part in self._held:
            replay.apply(part)
        self._held, self._held_bytes = [], 0

    def _is_whole(self, replay: Replay) -> bool:
        """Return whether no row below the replay's marker is missing. At the end of the changelog, release what is held."""
        if self.next < self._target or (self._rows_behind and self.next < self._end):
            return False
        # The replay has all rows then. Those behind the marker are rows ahead.
        self._release(replay)
        return True

    def _write(self, replay: Replay) -> None:
        """Write the merged rows, the replay's marker and its place in the changelog in one atomic write."""
        rows, before = replay.take(), self.store.state
        # An owner that takes the store over has to read foreign records again that nobody has healed yet.
        examined = before.examined if replay.needs_healing() else replay.examined
        state = replay.state(examined, whole=self._whole)
        if len(rows) or state != before:
            self.served.write(rows, state, replay.cleared)

    def _note_place(self) -> None:
        """Note when the end of the changelog was reached."""
        if self.next >= self._target:
            self._reached = True
            self._at_end_s = max(self._at_end_s, self._target_told_s)
        if self.next >= self._end:
            self._at_end_s = max(self._at_end_s, self._told_s)

    def _present_cache(self) -> CountCache:
        # An outdated vocabulary must not be kept in memory by an empty cache.
        if self._cache.vocabulary is not self._vocabulary.current:
            self._cache = CountCache(self._vocabulary.current, complete=False)
        return self._cache


def _records_to_last_marker(part: ChangelogSlice) -> int:
    """Return the number of records up to the last marker, inclusive; 0 = the slice has no marker."""
    markers = np.flatnonzero(pc.equal(part.keys, MARKER_KEY).to_numpy(zero_copy_only=False))
    return int(markers[-1]) + 1 if len(markers) else 0
