"""The tables with one rule left out, each a patch, and how the simulation has to find it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from agents.transport import COMMIT_TIMEOUT_S, BatchConsumerThread
from app.queries import WordQueries
from app.web.ports import WordPage
from tables import replay as replay_module
from tables.errors import FlushUnknownError, PartitionsLostError
from tables.leaders import Leaders, PartitionLeaders
from tables.partition_store import StagedRows
from tables.replay import MergedRows, Replay
from tables.restore import Restore
from tables.rows import StoreState
from tables.shard import Shard
from tables.windows import RecordBatch, Tally, merge_tallies
from tests.simulation.connections import Changelog
from tests.simulation.disks import Image, MemoryStore
from tests.simulation.plan import SHARED, USUAL, Bias
from tests.simulation.schedule import Mutate

Patch = pytest.MonkeyPatch


def store_written_before_the_acknowledgement(patch: Patch) -> None:
    """Rows and position enter the store once they are counted, in front of everything that a flush waits for."""
    count = Shard._count

    def counted(shard: Shard, batches: Sequence[RecordBatch]) -> Any:
        result = count(shard, batches)
        state = msgspec.structs.replace(shard.store.state, marker=result.marker, ahead=result.marker.position)
        shard.store.commit(shard.store.stage(result.words, result.values), state)
        return result

    patch.setattr(Shard, "_count", counted)


def marker_first(patch: Patch) -> None:
    pack = Changelog.pack
    patch.setattr(
        Changelog,
        "pack",
        lambda log, keys, values: pack(log, [keys[-1], *keys[:-1]], [values[-1], *values[:-1]]),
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


def a_bound_that_others_exceed(patch: Patch) -> None:
    read = Leaders.read
    patch.setattr(Leaders, "read", lambda leaders: (*read(leaders)[:2], 0))


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


def restored_to_a_former_end(patch: Patch) -> None:
    restore, end_offset, healed = Shard.restore, Changelog.end_offset, Replay.healed
    first_ends: ContextVar[list[int] | None] = ContextVar("first_ends", default=None)

    async def restored(shard: Shard) -> int:
        first_ends.set([])
        try:
            return await restore(shard)
        finally:
            first_ends.set(None)

    async def former_end(changelog: Changelog, partition: int) -> int:
        known = first_ends.get()
        if known is None:
            return await end_offset(changelog, partition)
        if not known:
            known.append(await end_offset(changelog, partition))
        return known[0]

    def healed_beyond(replay: Replay) -> None:
        (first_ends.get() or []).clear()
        healed(replay)

    patch.setattr(Shard, "restore", restored)
    patch.setattr(Changelog, "end_offset", former_end)
    patch.setattr(Replay, "healed", healed_beyond)


def examined_before_healed(patch: Patch) -> None:
    write = Restore._write_replayed

    def written(restore: Restore, **options: Any) -> Any:
        result = write(restore, **options)
        store = restore._shard.store
        state = msgspec.structs.replace(store.state, changelog_next=restore._replay.examined)
        store.commit(store.stage([], []), state)
        return result

    patch.setattr(Restore, "_write_replayed", written)


def ahead_forgotten_by_the_store(patch: Patch) -> None:
    create = Replay.__init__

    def created(replay: Replay, stored: Any, state: StoreState, *awaited: Any) -> None:
        create(replay, stored, state, *awaited)
        replay.newest_upto = 0

    patch.setattr(Replay, "__init__", created)


def rows_ahead_counted_again(patch: Patch) -> None:
    patch.setattr(Shard, "_tally", lambda shard, batches: shard.services.tally(batches))


def _tally_by(pieces: Callable[[RecordBatch], list[RecordBatch]]) -> Callable[..., Tally]:
    """As `Shard._tally`, but a row contains a piece where its `upto` reaches the end of the piece."""

    def tally(shard: Shard, batches: Sequence[RecordBatch]) -> Tally:
        parts = []
        for piece in (piece for batch in batches if batch.record_count for piece in pieces(batch)):
            part = shard.services.tally([piece])
            keep = [shard.uptos_ahead.get(word, 0) < piece.next_offset for word in part.words.to_pylist()]
            parts.append(part.only(np.array(keep, bool)))
        return merge_tallies(parts)

    return tally


def rows_ahead_skipped_by_whole_batches(patch: Patch) -> None:
    patch.setattr(Shard, "_tally", _tally_by(lambda batch: [batch]))


def rows_that_end_in_a_hole_counted_again(patch: Patch) -> None:
    patch.setattr(Shard, "_tally", _tally_by(RecordBatch.single_records))


def torn_rows_shown_to_readers(patch: Patch) -> None:
    patch.setattr(Shard, "readable", property(lambda shard: shard.restored))


def batches_beyond_a_gap_taken_in(patch: Patch) -> None:
    def add(shard: Shard, batches: Sequence[RecordBatch]) -> bool:
        rest = [part for batch in batches if (part := batch.starting_at(shard.next)) is not None]
        if rest:
            shard.pending += rest
            shard.next = rest[-1].next_offset
            shard.pending_bytes += sum(batch.byte_count for batch in rest)
        return True

    patch.setattr(Shard, "add", add)


def position_outside_the_atomic_write(patch: Patch) -> None:
    commit = MemoryStore.commit

    def state_then_rows(store: MemoryStore, staged: StagedRows, state: StoreState) -> None:
        before = store.image.rows
        commit(store, staged, state)
        images = store.disk.images
        store.disk.images = [*images[:-1], Image(before, state), images[-1]]

    patch.setattr(MemoryStore, "commit", state_then_rows)


def large_flush_over_unwritten_small_ones(patch: Patch) -> None:
    commit = MemoryStore.commit

    def ingest(store: MemoryStore, staged: StagedRows, state: StoreState) -> None:
        durable, *unwritten = store.disk.images
        commit(store, staged, state)
        if staged.file is not None and unwritten:
            rows = dict(zip(staged.keys, staged.values, strict=True))
            store.disk.images = [Image({**durable.rows, **rows}, state), store.image]

    patch.setattr(MemoryStore, "commit", ingest)


def ownership_taken_from_an_accepted_commit_alone(patch: Patch) -> None:
    async def commit(thread: BatchConsumerThread, offsets: Mapping[TopicPartition, int]) -> None:
        wanted = {tp: OffsetAndMetadata(position, "") for tp, position in offsets.items()}
        try:
            await asyncio.wait_for(thread._consumer.commit(wanted), COMMIT_TIMEOUT_S)
        except (CommitFailedError, IllegalStateError) as error:
            raise PartitionsLostError("refused") from error
        except TimeoutError as error:
            raise FlushUnknownError("no answer") from error

    patch.setattr(BatchConsumerThread, "commit_owned", commit)


def ownership_not_proven(patch: Patch) -> None:
    async def commit(thread: BatchConsumerThread, offsets: Mapping[TopicPartition, int]) -> None:
        """Nothing."""

    patch.setattr(BatchConsumerThread, "commit_owned", commit)


def position_taken_from_the_offset_of_the_group(patch: Patch) -> None:
    restore = Shard.restore

    async def restored(shard: Shard) -> int:
        rows = await restore(shard)
        ownership: Any = shard.services.ownership
        committed = ownership._consumer.committed(shard.partition)
        shard.next = shard.position if committed is None else committed
        return rows

    patch.setattr(Shard, "restore", restored)


def counts_shown_before_they_are_durable(patch: Patch) -> None:
    durable = WordQueries.list

    async def with_pending(queries: WordQueries, *arguments: Any) -> Any:
        answer = await durable(queries, *arguments)
        words, as_of = Counter(dict(answer.value.words)), dict(answer.as_of)
        for number, shard in queries._shards().items():
            if shard.pending and shard.pending[0].first_offset == as_of.get(number):
                tally = shard.services.tally(shard.pending)
                for word, count in zip(tally.word_list(), tally.counts.tolist(), strict=True):
                    words[word.decode()] += count
                as_of[number] = shard.next
        return replace(answer, value=WordPage([*words.items()], False), as_of=as_of)

    patch.setattr(WordQueries, "list", with_pending)


def changelog_of_another_deployment_adopted(patch: Patch) -> None:
    patch.setattr(replay_module, "check_owner", lambda marker, owner: None)


@dataclass(frozen=True, slots=True)
class Trial:
    """How a mutant has to be caught.

    Attributes:
        seeds: within so many.
        bias: of their schedules.
        first: where the search begins; one that would take long begins at a recorded seed.
        honour_lag: see `Schedule`.
    """

    seeds: int = 100
    bias: Bias = USUAL
    first: int = 0
    honour_lag: bool = True


LATE = Bias(
    {"delayed_arrives": 0, "crash": 8, "replace_topic": 0}, fault_rates=(0.05,), late_rate=0.0, words=16
)
"""What is delayed arrives at the end, when everybody is far beyond it."""

HEALING = Bias(
    {
        "fence": 10,
        "wake": 4,
        "delayed_arrives": 4,
        "compact": 40,
        "crash": 6,
        "append": 20,
        "replace_topic": 0,
    },
    fault_rates=(0.05,),
    late_rate=0.9,
    words=16,
    wordless=0.0,
)
"""Many zombies, whose records arrive in the midst of what others append; words that do not come again soon."""


def compaction_ahead_of_the_examination(patch: Patch) -> None:
    """Nothing: the brokers are wrong, not the tables."""


MUTANTS: dict[Mutate, Trial] = {
    position_outside_the_atomic_write: Trial(),
    large_flush_over_unwritten_small_ones: Trial(300),
    store_written_before_the_acknowledgement: Trial(),
    marker_first: Trial(),
    latest_row_wins_in_a_replay: Trial(),
    cache_updated_before_the_commit: Trial(),
    cache_left_behind_by_a_cancelled_commit: Trial(),
    leaders_not_told_of_flushes: Trial(),
    a_bound_that_others_exceed: Trial(),
    foreign_records_ignored: Trial(300, LATE),
    stale_rows_not_healed: Trial(300),
    healing_not_examined_itself: Trial(100, HEALING, first=1100),
    restored_to_a_former_end: Trial(100, HEALING),
    examined_before_healed: Trial(100, HEALING, first=200),
    ahead_forgotten_by_the_store: Trial(),
    rows_ahead_counted_again: Trial(),
    rows_ahead_skipped_by_whole_batches: Trial(),
    rows_that_end_in_a_hole_counted_again: Trial(300),
    torn_rows_shown_to_readers: Trial(),
    batches_beyond_a_gap_taken_in: Trial(300),
    ownership_not_proven: Trial(),
    ownership_taken_from_an_accepted_commit_alone: Trial(300),
    position_taken_from_the_offset_of_the_group: Trial(),
    counts_shown_before_they_are_durable: Trial(),
    changelog_of_another_deployment_adopted: Trial(bias=SHARED),
    compaction_ahead_of_the_examination: Trial(100, first=800, honour_lag=False),
}
