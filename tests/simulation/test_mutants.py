"""Tables with one rule left out are caught: otherwise the simulation would show nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rocksdict import Cache

from tables import replay as replay_module
from tables.errors import StoreCorruptedError
from tables.partition_store import PartitionStore, StagedRows, StoreSnapshot
from tables.replay import MergedRows, Replay
from tables.rows import Marker, StoreState, pack_row
from tables.shard import Flushed, Shard
from tables.vocabulary import CountCache
from tables.windows import RecordBatch, Tally, merge_tallies
from tests.simulation.disks import Image, MemoryStore
from tests.simulation.judge import WrongError
from tests.simulation.process import _Changelog
from tests.simulation.schedule import Mutate, simulate

Patch = pytest.MonkeyPatch


def store_written_before_the_acknowledgement(patch: Patch) -> None:
    async def flush(shard: Shard) -> Flushed:
        batches, shard.pending, shard.pending_bytes = shard.pending, [], 0
        services = shard._services
        try:
            counted = await shard._in_thread(shard._count, batches)
            await services.dead_letters.send(shard.partition, counted.tally.dead_letters)
            await shard._commit(
                shard.store.stage(counted.words, counted.values), counted, shard.store.state.changelog_next
            )
            await services.changelog.append(shard.partition, counted.records)
            await services.ownership.prove(shard.partition, counted.marker.position)
        except BaseException:
            shard.drop_pending()
            raise
        return Flushed(len(counted.words), counted.tally.totals, batches)

    patch.setattr(Shard, "flush", flush)


def marker_first(patch: Patch) -> None:
    pack = _Changelog.pack
    patch.setattr(
        _Changelog,
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
        shard._cache.update(result.ids, result.counts, shard.position)
        return result

    patch.setattr(Shard, "_count", counted)


def cache_left_behind_by_a_cancelled_commit(patch: Patch) -> None:
    commit = Shard._commit

    async def committed(shard: Shard, staged: Any, counted: Any, examined: int) -> None:
        await commit(shard, staged, counted, examined)
        shard._cache.update(counted.ids, counted.counts, shard.position)

    patch.setattr(Shard, "_commit", committed)
    patch.setattr(Shard, "_write", lambda shard, staged, _, state: shard.store.commit(staged, state))


def foreign_records_ignored(patch: Patch) -> None:
    patch.setattr(Shard, "_continued", lambda _, ranges: ranges[-1][1])


def stale_rows_not_healed(patch: Patch) -> None:
    take = Replay.take

    def taken(replay: Replay) -> MergedRows:
        rows = take(replay)
        replay.stale.clear()
        return rows

    patch.setattr(Replay, "take", taken)


def healing_not_examined_itself(patch: Patch) -> None:
    replay_to, heal = Shard._replay, Shard._heal
    healed: set[int] = set()

    def heal_once(shard: Shard, replay: Replay) -> Any:
        healed.add(id(replay))
        return heal(shard, replay)

    def replayed(shard: Shard, replay: Replay, end: int) -> int:
        if id(replay) in healed:
            healed.clear()
            replay.examined = end
        return replay_to(shard, replay, end)

    patch.setattr(Shard, "_heal", heal_once)
    patch.setattr(Shard, "_replay", replayed)


def examined_before_healed(patch: Patch) -> None:
    def written(shard: Shard, replay: Replay, *, learn: bool = False) -> int:
        rows = replay.take()
        state = StoreState(marker=replay.marker, changelog_next=replay.examined, ahead=replay.newest_upto)
        shard.store.commit(shard.store.stage(rows.keys(), rows.values()), state)
        shard._cache = CountCache(shard._cache.vocabulary, complete=False)
        return len(rows)

    patch.setattr(Shard, "_write_replayed", written)


def ahead_forgotten_by_the_store(patch: Patch) -> None:
    create = Replay.__init__

    def created(replay: Replay, stored: Any, state: StoreState) -> None:
        create(replay, stored, state)
        replay.newest_upto = 0

    patch.setattr(Replay, "__init__", created)


def rows_ahead_counted_again(patch: Patch) -> None:
    patch.setattr(Shard, "_tally", lambda shard, batches: shard._services.tally(batches))


def _tally_by(pieces: Callable[[RecordBatch], list[RecordBatch]]) -> Callable[..., Tally]:
    """As `Shard._tally`, but a row contains a piece where its `upto` reaches the end of the piece."""

    def tally(shard: Shard, batches: Sequence[RecordBatch]) -> Tally:
        parts = []
        for piece in (piece for batch in batches if batch.record_count for piece in pieces(batch)):
            part = shard._services.tally([piece])
            keep = [shard._ahead.get(word, 0) < piece.next_offset for word in part.words.to_pylist()]
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

    def rows_then_state(store: MemoryStore, staged: StagedRows, state: StoreState) -> None:
        before = store.image.state
        commit(store, staged, state)
        images = store.disk.images
        store.disk.images = [*images[:-1], Image(store.image.rows, before), images[-1]]

    patch.setattr(MemoryStore, "commit", rows_then_state)


def large_flush_over_unwritten_small_ones(patch: Patch) -> None:
    commit = MemoryStore.commit

    def ingest(store: MemoryStore, staged: StagedRows, state: StoreState) -> None:
        durable, *unwritten = store.disk.images
        commit(store, staged, state)
        if staged.writer is not None and unwritten:
            rows = dict(zip(staged.keys, staged.values, strict=True))
            store.disk.images = [Image({**durable.rows, **rows}, state), store.image]

    patch.setattr(MemoryStore, "commit", ingest)


MUTANTS: dict[Mutate, int] = {
    position_outside_the_atomic_write: 300,
    large_flush_over_unwritten_small_ones: 600,
    store_written_before_the_acknowledgement: 100,
    marker_first: 100,
    latest_row_wins_in_a_replay: 300,
    cache_updated_before_the_commit: 100,
    cache_left_behind_by_a_cancelled_commit: 400,
    foreign_records_ignored: 500,
    stale_rows_not_healed: 300,
    healing_not_examined_itself: 2000,
    examined_before_healed: 3000,
    ahead_forgotten_by_the_store: 100,
    rows_ahead_counted_again: 100,
    rows_ahead_skipped_by_whole_batches: 100,
    rows_that_end_in_a_hole_counted_again: 500,
    torn_rows_shown_to_readers: 100,
    batches_beyond_a_gap_taken_in: 600,
}
"""Each with the number of seeds within which it has to be caught."""


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_a_mutant_is_caught(mutate: Mutate, record_schedules: Callable[[str, int], None]) -> None:
    with pytest.raises(WrongError):
        for seed in range(MUTANTS[mutate]):
            record_schedules(mutate.__name__, seed + 1)
            simulate(seed, mutate)


def test_compaction_ahead_of_the_examination_is_caught(record_schedules: Callable[[str, int], None]) -> None:
    with pytest.raises(WrongError):
        for seed in range(600):
            record_schedules("compaction_ahead_of_the_examination", seed + 1)
            simulate(seed, honour_lag=False)


def test_an_ignored_iterator_status_is_caught(tmp_path: Path, monkeypatch: Patch) -> None:
    words = [b"%06d" % number for number in range(50_000)]
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    marker = Marker(topic="input", profile="whitespace/1", origin=0, position=1)
    store.commit(
        store.stage(words, [pack_row(1, 1)] * len(words)),
        StoreState(marker=marker, changelog_next=1, ahead=1),
    )
    store.close()
    (table,) = (tmp_path / "store").glob("*.sst")
    damaged = bytearray(table.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    table.write_bytes(damaged)
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    with pytest.raises(StoreCorruptedError), store.snapshot() as view:
        view.scan(b"", len(words))
    monkeypatch.setattr(StoreSnapshot, "_check", lambda view: None)
    with store.snapshot() as view:
        assert len(view.scan(b"", len(words))) < len(words), (
            "without the status rows would be missing silently"
        )
    store.abandon()
