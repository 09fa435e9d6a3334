"""The mutants: each function patches one rule of exactness out of `tables`, which the simulation then has to notice."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import TopicPartition

from agents.source.membership import BatchConsumerThread
from app.reads import top_query
from app.reads.answers import WordPage
from app.reads.queries import WordQueries
from app.reads.top_query import LeadingWords
from tables.cache.counts import CountCache
from tables.model import replay as replay_module
from tables.model.records import RecordBatch
from tables.model.replay import MergedRows, Replay
from tables.model.rows import NO_ROWS, StoreState
from tables.partitions import shard as shard_module
from tables.partitions.actions import Actions
from tables.partitions.changes import Change, Changes
from tables.partitions.counting import BufferCount
from tables.partitions.life import TRANSITIONS, Action, Event, State
from tables.partitions.owned_partition import OwnedPartition
from tables.partitions.restore import Restore
from tables.partitions.served_rows import ServedRows
from tables.partitions.shard import Shard
from tables.partitions.waiting import finish_despite_cancel
from tables.store.partition_store import StagedRows
from tables.top.leaders import Leaders, PartitionLeaders
from tests.simulation.connections import Changelog
from tests.simulation.disks import Image, MemoryStore
from tests.simulation.source import words_of

Patch = pytest.MonkeyPatch


def store_written_before_the_acknowledgement(patch: Patch) -> None:
    """Write rows and position to the store as soon as they are counted, before all further steps of the flush."""
    count = Shard._count

    def counted(shard: Shard, batches: Sequence[RecordBatch]) -> Any:
        result = count(shard, batches)
        state = msgspec.structs.replace(
            shard.store.state, marker=result.marker, max_upto=result.marker.position
        )
        shard.store.commit(shard.store.stage(result.rows.key_column(), result.rows.value_column()), state)
        return result

    patch.setattr(Shard, "_count", counted)


def marker_first(patch: Patch) -> None:
    pack = Changelog.pack
    patch.setattr(
        Changelog, "pack", lambda log, first, rows=NO_ROWS, last=(): pack(log, [*last, *first], rows)
    )


def latest_row_wins_in_a_replay(patch: Patch) -> None:
    def last(ids: Any, uptos: Any, count: int) -> Any:
        found = np.empty(count, np.int64)
        found[ids] = np.arange(len(ids))
        return found

    patch.setattr(replay_module, "_best", last)
    patch.setattr(Replay, "_beaten_by_stored", lambda replay, merged: np.zeros(len(merged), bool))


def cache_updated_before_the_commit(patch: Patch) -> None:
    count = Shard._count

    def counted(shard: Shard, batches: Sequence[RecordBatch]) -> Any:
        result = count(shard, batches)
        shard.cache.update(result.ids, result.counts, shard.position)
        return result

    patch.setattr(Shard, "_count", counted)


def cache_left_behind_by_a_cancelled_commit(patch: Patch) -> None:
    commit = Shard._commit

    async def committed(shard: Shard, staged: Any, counted: Any, *rest: Any) -> None:
        await commit(shard, staged, counted, *rest)
        shard.cache.update(counted.ids, counted.counts, shard.position)

    patch.setattr(Shard, "_commit", committed)
    patch.setattr(Shard, "_write", lambda shard, staged, _, state: shard.store.commit(staged, state))


def leaders_not_told_of_flushes(patch: Patch) -> None:
    advancing = PartitionLeaders.advancing

    def without_rows(leaders: PartitionLeaders, words: Any, counts: Any, position: int | None) -> Any:
        return advancing(leaders, words[:0], counts[:0], position)

    patch.setattr(PartitionLeaders, "advancing", without_rows)


def leaders_noted_before_they_are_known(patch: Patch) -> None:
    patch.setattr(PartitionLeaders, "known", property(lambda leaders: leaders.newest))


def a_bound_that_others_exceed(patch: Patch) -> None:
    read = Leaders.read
    patch.setattr(Leaders, "read", lambda leaders: (*read(leaders)[:2], 0))


def top_from_a_cache_behind_the_store(patch: Patch) -> None:
    patch.setattr(CountCache, "withdraw", lambda cache: None)
    patch.setattr(ServedRows, "add_to", lambda rows, sums: rows.cache.add_to(sums))
    patch.setattr(LeadingWords, "_by_leaders", lambda *_: None)


def top_words_kept_through_a_commit(patch: Patch) -> None:
    patch.setattr(top_query._Kept, "is_newest", lambda kept, rows: kept.versions.keys() == rows.keys())


def top_words_kept_while_a_commit_is_under_way(patch: Patch) -> None:
    patch.setattr(PartitionLeaders, "newest", property(lambda leaders: leaders._versions[0]))


def failed_staging_ends_a_cancelled_flush_otherwise(patch: Patch) -> None:
    async def discard(staging: Any) -> None:
        (await finish_despite_cancel(staging)).discard()

    patch.setattr(shard_module, "_discard", discard)
    for event in (Event.EXAMINE, Event.UNUSABLE):
        patch.setitem(TRANSITIONS[State.SUSPENDED], event, (State.RESTORING, Action.RESTORE))


def threads_not_waited_for(patch: Patch) -> None:
    async def until_cancelled(thread: Any, leaving: Any = None) -> Any:
        return await thread

    patch.setattr(shard_module, "finish_despite_cancel", until_cancelled)


def restores_move_only_where_they_write(patch: Patch) -> None:
    patch.setattr(Shard, "examined", property(lambda shard: shard.store.state.examined))


def adopted_flushes_not_told(patch: Patch) -> None:
    patch.setattr(Restore, "_tell_adopted", lambda restore: None)


def cancelled_flushes_not_told(patch: Patch) -> None:
    publish = Changes.publish

    def told(changes: Changes, change: Change) -> None:
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            publish(changes, change)

    patch.setattr(Changes, "publish", told)


def unsettled_flushes_forgotten_by_a_rebuild(patch: Patch) -> None:
    rebuild = Actions._rebuild

    def rebuilt(actions: Actions, part: OwnedPartition) -> None:
        rebuild(actions, part)
        part.shard.unsettled = None

    patch.setattr(Actions, "_rebuild", rebuilt)


def unsettled_flushes_forgotten_by_a_restore(patch: Patch) -> None:
    run = Restore.run

    async def restored(restore: Restore) -> int:
        rows = await run(restore)
        restore._shard.unsettled = None
        return rows

    patch.setattr(Restore, "run", restored)


def foreign_records_ignored(patch: Patch) -> None:
    patch.setattr(Shard, "continued", lambda _, ranges: ranges[-1][1])


def stale_rows_not_healed(patch: Patch) -> None:
    take = Replay.take

    def taken(replay: Replay) -> MergedRows:
        rows = take(replay)
        replay.stale.clear()
        return rows

    patch.setattr(Replay, "take", taken)


def healing_not_examined_itself(patch: Patch) -> None:
    needs_healing, heal, replay_to = Replay.needs_healing, Restore._heal, Restore._replay_to

    def is_healed(replay: Replay) -> bool:
        return "healed_once" in vars(replay)

    def heal_once(restore: Restore) -> Any:
        vars(restore._replay)["healed_once"] = True
        return heal(restore)

    def replayed(restore: Restore, end: int) -> Any:
        if is_healed(restore._replay):
            restore._replay.examined = end
        return replay_to(restore, end)

    patch.setattr(Replay, "needs_healing", lambda replay: not is_healed(replay) and needs_healing(replay))
    patch.setattr(Restore, "_heal", heal_once)
    patch.setattr(Restore, "_replay_to", replayed)


def examined_before_healed(patch: Patch) -> None:
    write = Restore._write_replayed

    def written(restore: Restore, **options: Any) -> Any:
        result = write(restore, **options)
        store = restore._shard.store
        state = msgspec.structs.replace(store.state, examined=restore._replay.examined)
        store.commit(store.stage([], []), state)
        return result

    patch.setattr(Restore, "_write_replayed", written)


def ahead_forgotten_by_the_store(patch: Patch) -> None:
    create = Replay.__init__

    def created(replay: Replay, *arguments: Any, **options: Any) -> None:
        create(replay, *arguments, **options)
        replay.max_upto = 0

    patch.setattr(Replay, "__init__", created)


def rows_ahead_counted_again(patch: Patch) -> None:
    patch.setattr(
        BufferCount, "_tally", lambda count, batches, windows: count._services.tally(batches, windows)
    )


def rows_ahead_skipped_by_whole_batches(patch: Patch) -> None:
    patch.setattr(RecordBatch, "single_records", lambda batch: [batch])


def rows_that_end_in_a_hole_counted_again(patch: Patch) -> None:
    offset_of = RecordBatch.offset_of

    def last_offset(batch: RecordBatch, index: int) -> int:
        # Of a record without words it is the offset of a dead letter.
        alone = batch.record_count == 1 and words_of(batch.values[0].as_py())
        return batch.next_offset - 1 if alone else offset_of(batch, index)

    patch.setattr(RecordBatch, "offset_of", last_offset)


def torn_rows_shown_to_readers(patch: Patch) -> None:
    patch.setattr(Shard, "readable", property(lambda shard: shard.restored))


def batches_beyond_a_gap_taken_in(patch: Patch) -> None:
    add = Shard.add

    def added(shard: Shard, batches: Sequence[RecordBatch]) -> bool:
        for batch in batches:
            shard.next = max(shard.next, batch.first_offset)
            add(shard, [batch])
        return True

    patch.setattr(Shard, "add", added)


def position_outside_the_atomic_write(patch: Patch) -> None:
    commit = MemoryStore.commit

    def state_then_rows(store: MemoryStore, staged: StagedRows, state: StoreState, *others: Any) -> None:
        before = store.image.rows
        commit(store, staged, state, *others)
        images = store.disk.images
        store.disk.images = [*images[:-1], Image(before, state), images[-1]]

    patch.setattr(MemoryStore, "commit", state_then_rows)


def large_flush_over_unwritten_small_ones(patch: Patch) -> None:
    commit = MemoryStore.commit

    def ingest(store: MemoryStore, staged: StagedRows, state: StoreState, *others: Any) -> None:
        durable, *unwritten = store.disk.images
        commit(store, staged, state, *others)
        if staged.file is not None and unwritten:
            rows = dict(zip(staged.keys, staged.values, strict=True))
            store.disk.images = [Image({**durable.rows, **rows}, state), store.image]

    patch.setattr(MemoryStore, "commit", ingest)


def ownership_taken_from_an_accepted_commit_alone(patch: Patch) -> None:
    patch.setattr(BatchConsumerThread, "check_membership", lambda thread: None)


def ownership_not_proven(patch: Patch) -> None:
    async def commit(thread: BatchConsumerThread, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit nothing."""

    patch.setattr(BatchConsumerThread, "commit_owned", commit)


def position_taken_from_the_offset_of_the_group(patch: Patch) -> None:
    run = Restore.run

    async def restored(restore: Restore) -> int:
        rows, shard = await run(restore), restore._shard
        ownership: Any = shard.services.ownership
        committed = ownership._consumer.committed(shard.partition)
        shard.next = shard.position if committed is None else committed
        return rows

    patch.setattr(Restore, "run", restored)


def counts_shown_before_they_are_durable(patch: Patch) -> None:
    durable = WordQueries.list

    async def with_pending(queries: WordQueries, *arguments: Any) -> Any:
        answer = await durable(queries, *arguments)
        words, as_of = Counter(dict(answer.value.words)), dict(answer.as_of)
        for number, shard in queries._parties.local._holdings._partitions.shards().items():
            if shard.buffer and shard.buffer[0].first_offset == as_of.get(number):
                tally = shard.services.tally(shard.buffer)
                for word, count in zip(tally.word_list(), tally.counts.tolist(), strict=True):
                    words[word.decode()] += count
                as_of[number] = shard.next
        return replace(answer, value=WordPage([*words.items()], False), as_of=as_of)

    patch.setattr(WordQueries, "list", with_pending)


def changelog_of_another_deployment_adopted(patch: Patch) -> None:
    patch.setattr(replay_module, "check_owner", lambda marker, owner: None)


def compaction_ahead_of_the_examination(patch: Patch) -> None:
    """Patch nothing: in this trial the brokers are wrong, not `tables`."""
