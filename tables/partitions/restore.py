"""Restore of one shard: brings its store to the end of the changelog, heals the changelog, and finds the position.

A restore is the only way out of a failed flush (rule 9 of ARCHITECTURE.md): of each word the row with the larger `upto` is kept, and
the marker with the largest position gives the position. Rows ahead of the position are remembered (rule 10), and rows that compaction
would otherwise lose are appended again (rule 11).
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tables.cache.counts import CountCache, cache_of
from tables.errors import ChangelogReplacedError, FlushUnknownError, PartitionsLostError
from tables.model.names import MARKER_KEY
from tables.model.positions import (
    InputNow,
    can_catch_up_from,
    check_position,
    check_replaceable,
    check_windows,
)
from tables.model.replay import MergedRows, Replay
from tables.model.rows import ChangelogRecord, Marker, StoreState, encode_marker, unpack_rows
from tables.model.windows import END_OF_PANES
from tables.partitions.changes import Change
from tables.partitions.restore_progress import RestoreProgress
from tables.partitions.shard import Shard
from tables.store.partition_store import StagedRows
from tables.threads import beside_the_loop

WRITE_S = 30.0
"""Longest time between two writes of merged rows to the store: a restore that is cancelled continues after the last write."""


class Restore:
    """Restores `shard`, once: make a new object for each attempt."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._services = shard.services
        self._partition = shard.partition
        self._replay: Replay
        self._progress = shard.progress = RestoreProgress()
        self._written_s = 0.0

    async def run(self) -> int:
        """Bring the store to the end of the changelog, heal the changelog after foreign records, and find the position.

        Returns:
            The number of rows that were written to the store.

        Raises:
            InexactError: exact counting cannot go on; the message names topic, partition, offsets and the remedy.
            ChangelogReplacedError: the store is of a former changelog; a restore on an empty store can succeed.
            BrokerUnavailableError, FlushUnknownError: the broker did not answer, or a topic was created again; restore again.
            ForeignRecordsError: another process appended while the changelog was begun; restore again.
            PartitionsLostError: the shard was asked to end early.
        """
        shard, changelog = self._shard, self._services.changelog
        end = await changelog.end_offset(self._partition)
        changelog_id = await self._check_store(end)
        awaited = shard.unsettled.marker if shard.unsettled is not None else None
        replay = self._replay = Replay(
            shard.store,
            shard.store.state,
            self._services.owner,
            changelog_id,
            awaited,
            most_bytes=self._services.memory.bounds.replay_bytes,
        )
        self._begin(end)
        rows, examined = 0, -1
        # Read until nothing is appended during a pass: compaction removes a row only after a later record of its word was appended.
        while examined < end:
            try:
                rows += await shard.in_thread(self._replay_to, end)
            finally:
                self._tell_adopted()
            if replay.needs_healing():
                # Compaction keeps the latest record of a word. Here the latest record is worse, so the better row is appended again.
                healing = await shard.in_thread(self._heal)
                await changelog.append(self._partition, healing)
                replay.healed()
            examined, end = end, await changelog.end_offset(self._partition)
            self._progress.end = end
        await self._find_position()
        await shard.in_thread(self._find_rows_ahead)
        shard.cache.position = shard.store.state.exact_position
        marker = shard.marker
        shard.panes.restored(None if marker is None else marker.windows, exact=not shard.uptos_ahead)
        shard.drop_buffer()
        shard.restored = True
        if shard.unsettled is not None and shard.unsettled.marker.position <= shard.position:
            # A flush beyond the position stays unsettled: it may still reach the changelog, until its records are flushed again.
            shard.unsettled = None
        # The store answers from here on. Counting waits for the cache, which takes 0.6 s for a million rows.
        self._services.changes.publish(Change(self._partition, shard.position, None))
        if not shard.cache.complete:
            await shard.in_long_thread(self._fill_cache)
        return rows

    def _begin(self, end: int) -> None:
        progress = self._progress
        progress.begun_s = self._written_s = self._services.clock()
        progress.start = progress.examined = self._replay.examined
        progress.end = end

    def _tell_adopted(self) -> None:
        """Publish the unsettled flush if its marker is in the changelog: then all its rows are there, and the flush is durable."""
        shard = self._shard
        if shard.unsettled is not None and self._replay.awaited_found:
            flushed, shard.unsettled = shard.unsettled, None
            self._services.changes.publish(Change(self._partition, flushed.marker.position, flushed))

    async def _check_store(self, end: int) -> str:
        """Check that the store is of the changelog that ends at `end`, and return the id of that changelog.

        Raises:
            ChangelogReplacedError: the store is of a former changelog, and nothing is lost with it.
            InexactError: the store is of a former changelog, and its counts cannot be made again.
        """
        services, state = self._services, self._shard.store.state
        changelog_id = await services.changelog.identity()
        if can_catch_up_from(state, changelog_id, end):
            return changelog_id
        topic_id = await services.source.identity()
        now = InputNow(
            services.topic, topic_id, self._partition, *await services.source.bounds(self._partition)
        )
        check_replaceable(state, now, changelog_id=changelog_id, changelog_end=end)
        raise ChangelogReplacedError(
            f"the changelog of {services.topic} partition {self._partition} was deleted or created again: "
            f"it ends at offset {end}, {state.examined} was next to read"
        )

    @beside_the_loop
    def _replay_to(self, end: int) -> int:
        """Read the changelog up to `end` (exclusive) into the store. Return the number of rows written."""
        replay, start = self._replay, self._replay.examined
        assert end >= start, "_check_store refuses a changelog that ends before the examined offset"
        rows = 0
        for part in self._services.changelog.read(self._partition, start, end) if end > start else ():
            self._check_leaving()
            replay.apply(part)
            self._progress.examined = replay.examined
            if replay.full or self._services.clock() - self._written_s > WRITE_S:
                rows += self._write_replayed(whole=False)
        replay.examined = max(replay.examined, end)
        rows += self._write_replayed(whole=True, learn=rows == 0)
        self._progress.examined = replay.examined
        return rows

    def _write_replayed(self, *, whole: bool, learn: bool = False) -> int:
        """Write the merged rows to the store, and to the cache if `learn`. Return the number of rows. For `whole` see `StoreState`."""
        shard, replay = self._shard, self._replay
        rows = replay.take()
        # After a crash before the healing, the next restore has to read the foreign records again: they are not examined until then.
        examined = shard.store.state.examined if replay.needs_healing() else replay.examined
        state = replay.state(examined, whole=whole)
        if len(rows) or state != shard.store.state:
            shard.served.write(rows, state, replay.cleared)
        if learn and self._services.vocabulary.has_room(len(rows)):
            self._learn(rows)
        elif len(rows):
            # Learning a row costs as much as storing it. Many rows are not learned here: `_fill_cache` does that once, at the end.
            self._services.vocabulary.renew()
            shard.cache = CountCache(self._services.vocabulary.current, complete=False)
        self._written_s = self._services.clock()
        return len(rows)

    def _learn(self, rows: MergedRows) -> None:
        shard = self._shard
        shard.renew_cache()
        words = rows.of_words()
        shard.cache.learn(words.words, words.rows[:, 0], shard.store.state.exact_position)

    @beside_the_loop
    def _fill_cache(self) -> None:
        shard = self._shard
        shard.cache = cache_of(shard.store, self._services.vocabulary, shard.leaving) or shard.cache
        shard.cache.position = shard.store.state.exact_position  # A store may have a position and no rows.

    @beside_the_loop
    def _heal(self) -> Any:
        """Return the records that heal the changelog: the better row of each stale word, then the marker."""
        replay = self._replay
        words = sorted(replay.stale)
        records: list[ChangelogRecord] = [*zip(words, self._shard.store.get_many(words), strict=True)]
        assert all(row is not None for _, row in records), "a stale word has a better row in the store"
        if (marker := replay.healed_marker()) is not None:
            records.append((MARKER_KEY, encode_marker(marker)))
        return self._services.changelog.pack(records)

    async def _find_position(self) -> None:
        """Check the position against the input topic. A shard without a marker begins at the first offset that can be read."""
        shard, services = self._shard, self._services
        topic_id, changelog_id = await services.source.identity(), await services.changelog.identity()
        now = InputNow(
            services.topic, topic_id, self._partition, *await services.source.bounds(self._partition)
        )
        if topic_id != await services.source.identity():
            raise FlushUnknownError(f"{services.topic} was created again during the request for its offsets")
        marker = shard.marker
        if marker is None:
            marker = Marker(
                topic=services.topic, profile=services.profile, origin=now.start, position=now.start
            )
        check_position(marker, now, owner=services.owner, changelog_id=changelog_id, profile=services.profile)
        check_windows(marker.windows, services.windows, services.dropped_sizes, now)
        marker = msgspec.structs.replace(
            marker, group=services.group, topic_id=topic_id, changelog_id=changelog_id
        )
        if marker != shard.marker:
            state = shard.store.state
            examined = state.examined if shard.marker else await self._begin_changelog(marker)
            max_upto = max(state.max_upto, marker.position)
            state = StoreState(marker=marker, examined=examined, max_upto=max_upto)
            await shard.in_thread(shard.served.commit, StagedRows([], [], None), state)

    async def _begin_changelog(self, marker: Marker) -> int:
        """Append a marker as the first record (rule 13 of ARCHITECTURE.md). Return the changelog offset after the marker.

        After a torn first flush, counting must not continue from another origin.

        Raises:
            ForeignRecordsError: another process appended.
        """
        records = self._services.changelog.pack([(MARKER_KEY, encode_marker(marker))])
        return self._shard.continued(await self._services.changelog.append(self._partition, records))

    @beside_the_loop
    def _find_rows_ahead(self) -> None:
        """Scan the store for rows ahead of the position, unless `max_upto` excludes them."""
        shard = self._shard
        shard.uptos_ahead = {}
        if shard.store.state.max_upto <= shard.position:
            return
        for rows in shard.store.slices(end=END_OF_PANES):
            self._check_leaving()
            uptos = unpack_rows(pa.array([row for _, row in rows], pa.binary()))[:, 1]
            found = np.flatnonzero(uptos > shard.position)
            shard.uptos_ahead.update((rows[i][0], int(uptos[i])) for i in found.tolist())
            self._progress.scanned += len(rows)

    def _check_leaving(self) -> None:
        if self._shard.leaving.is_set():
            raise PartitionsLostError(
                f"partition {self._partition} was suspended or released during its restore"
            )
