"""One restore of a shard: its store is brought to the end of the changelog, the changelog is healed, the position is found.

A restore is the only way out of a failed flush (rule 9 of ARCHITECTURE.md): of each word the row with the larger `upto` is kept, and
the last marker by offset is the position. Rows ahead of the position are remembered (rule 10), and what compaction would otherwise
lose is appended again (rule 11).
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tables.cache.counts import CountCache, cache_of
from tables.errors import ChangelogReplacedError, FlushUnknownError, PartitionsLostError
from tables.model.names import MARKER_KEY
from tables.model.positions import InputNow, check_position, check_replaceable, is_of_changelog
from tables.model.replay import MergedRows, Replay
from tables.model.rows import Marker, StoreState, encode_marker, unpack_rows
from tables.partitions.changes import Change
from tables.partitions.restore_progress import RestoreProgress
from tables.partitions.shard import Shard
from tables.store.partition_store import StagedRows
from tables.threads import beside_the_loop

WRITE_S = 30.0
"""Rows that were merged are written to the store at least this often: a restore that is ended goes on from there."""


class Restore:
    """Works on `shard`, once."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._services = shard.services
        self._partition = shard.partition
        self._replay: Replay
        self._progress = shard.progress = RestoreProgress()
        self._written_s = 0.0

    async def run(self) -> int:
        """Bring the store to the end of the changelog, heal what others appended, and find the position.

        Returns:
            The number of rows that came from the changelog.

        Raises:
            InexactError: exact counts cannot go on from here; names topic, partition, offsets and the remedy.
            ChangelogReplacedError: they can, on an empty store.
            BrokerUnavailableError, FlushUnknownError: try again.
            PartitionsLostError: the shard has to end early.
        """
        shard, changelog = self._shard, self._services.changelog
        end = await changelog.end_offset(self._partition)
        changelog_id = await self._check_store(end)
        awaited = shard.in_doubt.marker if shard.in_doubt is not None else None
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
        # Until nothing is appended meanwhile: a row that compaction took away was replaced by one further down.
        while examined < end:
            try:
                rows += await shard.in_thread(self._replay_to, end)
            finally:
                self._tell_adopted()
            if replay.needs_healing():
                # Compaction keeps the latest record of a key, which is not the right one here: append the right one again.
                healing = await shard.in_thread(self._heal)
                await changelog.append(self._partition, healing)
                replay.healed()
            examined, end = end, await changelog.end_offset(self._partition)
            self._progress.end = end
        await self._find_position()
        await shard.in_thread(self._find_rows_ahead)
        if not shard.cache.complete:
            await shard.in_thread(self._fill_cache)
        shard.cache.position = shard.store.state.exact_position
        shard.drop_buffer()
        shard.restored = True
        if shard.in_doubt is not None and shard.in_doubt.marker.position <= shard.position:
            shard.in_doubt = None  # Otherwise it may still arrive, until its records are flushed again.
        self._services.changes.publish(Change(self._partition, shard.position, None))
        return rows

    def _begin(self, end: int) -> None:
        progress = self._progress
        progress.begun_s = self._written_s = self._services.clock()
        progress.start = progress.examined = self._replay.examined
        progress.end = end

    def _tell_adopted(self) -> None:
        """Tell the flush whose outcome was not known, if the changelog has all of it: what is there is durable."""
        shard = self._shard
        if shard.in_doubt is not None and self._replay.awaited_found:
            flushed, shard.in_doubt = shard.in_doubt, None
            self._services.changes.publish(Change(self._partition, flushed.marker.position, flushed))

    async def _check_store(self, end: int) -> str:
        """Id of the changelog that ends at `end`. Raises where the store is not of it."""
        services, state = self._services, self._shard.store.state
        changelog_id = await services.changelog.identity()
        if is_of_changelog(state, changelog_id, end):
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
        """Read the changelog up to `end` into the store. Returns the rows written."""
        replay, start = self._replay, self._replay.examined
        assert end >= start, "a changelog that ends before what was examined is refused before"
        rows = 0
        for part in self._services.changelog.read(self._partition, start, end) if end > start else ():
            self._check_leaving()
            replay.apply(part)
            self._progress.examined = replay.examined
            if replay.full or self._services.clock() - self._written_s > WRITE_S:
                rows += self._write_replayed()
        replay.examined = max(replay.examined, end)
        rows += self._write_replayed(learn=rows == 0)
        self._progress.examined = replay.examined
        return rows

    def _write_replayed(self, *, learn: bool = False) -> int:
        shard, replay = self._shard, self._replay
        rows = replay.take()
        # A crash before the healing must find the foreign records again: they count as examined only once it is done.
        examined = shard.store.state.examined if replay.needs_healing() else replay.examined
        state = replay.state(examined)
        if len(rows) or state != shard.store.state:
            shard.served.write(rows, state)
        if learn and self._services.vocabulary.has_room(len(rows)):
            self._learn(rows)
        elif len(rows):
            # Learning costs as much as storing: of so many rows the cache is filled at the end, if it has room.
            self._services.vocabulary.renew()
            shard.cache = CountCache(self._services.vocabulary.current, complete=False)
        self._written_s = self._services.clock()
        return len(rows)

    def _learn(self, rows: MergedRows) -> None:
        shard = self._shard
        shard.renew_cache()
        shard.cache.learn(rows.words, rows.rows[:, 0], shard.store.state.exact_position)

    @beside_the_loop
    def _fill_cache(self) -> None:
        shard = self._shard
        shard.cache = cache_of(shard.store, self._services.vocabulary, shard.leaving) or shard.cache

    @beside_the_loop
    def _heal(self) -> Any:
        replay = self._replay
        words = sorted(replay.stale)
        rows = self._shard.store.get_many(words)
        keys, values = list(words), [row for row in rows if row is not None]
        assert len(keys) == len(values), "a stale word has a better row in the store"
        marker = replay.healed_marker()
        if marker is not None:
            keys.append(MARKER_KEY)
            values.append(encode_marker(marker))
        return self._services.changelog.pack(keys, values)

    async def _find_position(self) -> None:
        """Check the position against the input topic; a shard without one begins at the first record there is."""
        shard, services = self._shard, self._services
        topic_id, changelog_id = await services.source.identity(), await services.changelog.identity()
        now = InputNow(
            services.topic, topic_id, self._partition, *await services.source.bounds(self._partition)
        )
        if topic_id != await services.source.identity():
            raise FlushUnknownError(f"{services.topic} was created again while its offsets were asked for")
        marker = shard.marker
        if marker is None:
            marker = Marker(
                topic=services.topic, profile=services.profile, origin=now.start, position=now.start
            )
        check_position(marker, now, owner=services.owner, changelog_id=changelog_id, profile=services.profile)
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
        """Say where counting begins before the first row: a torn first flush must not be continued from another origin."""
        records = self._services.changelog.pack([MARKER_KEY], [encode_marker(marker)])
        return self._shard.continued(await self._services.changelog.append(self._partition, records))

    @beside_the_loop
    def _find_rows_ahead(self) -> None:
        shard = self._shard
        shard.uptos_ahead = {}
        if shard.store.state.max_upto <= shard.position:
            return
        for rows in shard.store.slices():
            self._check_leaving()
            uptos = unpack_rows(pa.array([row for _, row in rows], pa.binary()))[:, 1]
            found = np.flatnonzero(uptos > shard.position)
            shard.uptos_ahead.update((rows[i][0], int(uptos[i])) for i in found.tolist())
            self._progress.scanned += len(rows)

    def _check_leaving(self) -> None:
        if self._shard.leaving.is_set():
            raise PartitionsLostError(f"partition {self._partition} moved on while it was restored")
