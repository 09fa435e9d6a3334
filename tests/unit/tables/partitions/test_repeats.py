"""Records that repeat an earlier one with the same id are not counted, wherever buffers, restarts and torn flushes are."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from app.operate.repeat_recount import RepeatRecount
from bench.hot_path import open_shard
from tables.model.record_ids import IdState, id_key, is_id_key
from tables.model.records import RecordBatch
from tables.model.rows import pack_rows, unpack_row
from tables.model.windows import FIRST_PANE_KEY
from tables.partitions import repeats as repeats_module
from tables.partitions.repeats import recognised
from tables.partitions.restore import Restore
from tables.partitions.shard import Shard

TALLY = RecordTally(tokenizer("whitespace"), value_format("text", ""), Policies())
SPAN = 5
SLICE_ROW_BYTES, NEW_ROW_BYTES = 800, 300
"""Most bytes of memory for each record of a slice, and for each new row."""

Log = Sequence[tuple[int, bytes | None]]
"""Offset and id of each record."""


class Rows(dict[bytes, bytes]):
    """The rows of a store."""

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(word) for word in words]


def batch_of(log: Log, first: int, end: int) -> RecordBatch:
    ids = [record_id for _, record_id in log]
    return RecordBatch(
        pa.array([b"w%d" % offset for offset, _ in log], pa.binary()),
        first,
        end,
        np.array([offset for offset, _ in log], np.int64),
        ids=pa.array(ids, pa.binary()) if any(ids) else None,
    )


def kept(batches: Sequence[RecordBatch]) -> list[int]:
    return [offset for batch in batches for offset in batch.all_offsets().tolist()]


def random_log(random: Random) -> Log:
    offsets = sorted(random.sample(range(120), 80))
    return [(offset, random.choice([None, *(b"%d" % n for n in range(9))])) for offset in offsets]


def counted_ones(log: Log) -> list[int]:
    recount = RepeatRecount(IdState(span=SPAN))
    return [offset for offset, record_id in log if not recount.is_repeat(record_id)]


@pytest.mark.parametrize("slice_records", [1, 3, repeats_module.SLICE_RECORDS])
def test_the_first_record_of_an_id_counts_wherever_buffers_are_cut_and_flushes_are_torn(
    monkeypatch: pytest.MonkeyPatch, slice_records: int
) -> None:
    monkeypatch.setattr(repeats_module, "SLICE_RECORDS", slice_records)
    repeats = 0
    for seed in range(60):
        random = Random(seed)
        log = random_log(random)
        rows, ids, found, position = Rows(), None, list[int](), 0
        while position < 120:
            end = min(120, position + random.randint(1, 25))
            cut = random.randint(position, end)
            buffer = [
                batch_of([one for one in log if start <= one[0] < stop], start, stop)
                for start, stop in ((position, cut), (cut, end))
                if start < stop
            ]
            result = recognised(buffer, ids, rows, span=SPAN)
            values = pack_rows(result.firsts, end)
            rows.update(zip(result.keys.to_pylist(), values, strict=True))
            if random.random() < 0.4:
                continue  # The rows are there, and the marker is not: the buffer is read again, perhaps cut elsewhere.
            found += kept(result.batches)
            repeats += result.repeats
            ids, position = result.ids, end
        assert found == counted_ones(log), f"seed {seed}"
    assert repeats > 300


@pytest.mark.parametrize("record_id", [lambda number: number.to_bytes(3, "big"), lambda _: b"x"])
def test_a_buffer_of_small_records_takes_little_memory_beside_its_new_rows(record_id) -> None:
    count = 4 * repeats_module.SLICE_RECORDS
    log = [(number, record_id(number)) for number in range(count)]
    buffer = [batch_of(log, 0, count)]
    del log
    tracemalloc.start()
    try:
        result = recognised(buffer, None, Rows(), span=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    new = len(result.keys)
    assert result.repeats == count - new
    assert peak < SLICE_ROW_BYTES * repeats_module.SLICE_RECORDS + NEW_ROW_BYTES * new


def test_an_id_is_forgotten_after_two_generations() -> None:
    log = [(0, b"a"), *((n, b"%d" % n) for n in range(1, 10)), (10, b"a")]
    assert kept(recognised([batch_of(log[:10], 0, 10)], None, Rows(), span=SPAN).batches) == [*range(10)]
    assert kept(recognised([batch_of(log, 0, 11)], None, Rows(), span=SPAN).batches) == [*range(11)]
    assert kept(recognised([batch_of(log, 0, 11)], None, Rows(), span=6).batches) == [*range(10)]


def test_a_buffer_without_ids_is_not_touched() -> None:
    buffer = [batch_of([(0, None), (2, None)], 0, 5)]
    result = recognised(buffer, None, Rows(), span=SPAN)
    assert result.batches is buffer
    assert (result.repeats, result.ids, len(result.keys)) == (0, None, 0)


def identified(first: int, ids: Sequence[bytes]) -> RecordBatch:
    values = pa.array([b"word"] * len(ids), pa.binary())
    return RecordBatch(values, first, first + len(ids), ids=pa.array(ids, pa.binary()))


async def counted(shard: Shard, ids: Sequence[bytes]) -> None:
    assert shard.add([identified(shard.next, ids)])
    await shard.flush()


async def torn_flush(shard: Shard, ids: Sequence[bytes]) -> None:
    """Leave the rows of a flush in the store without its marker, and have them found by a restore."""
    batch = identified(shard.next, ids)
    counted = await asyncio.to_thread(shard._count, [batch])
    staged = await asyncio.to_thread(
        shard.store.stage, counted.rows.key_column(), counted.rows.value_column()
    )
    state = msgspec.structs.replace(shard.store.state, max_upto=batch.next_offset)
    await asyncio.to_thread(shard.store.commit, staged, state)
    await Restore(shard).run()


def keys_of_ids(shard: Shard) -> set[bytes]:
    return {key for part in shard.store.slices(end=FIRST_PANE_KEY) for key, _ in part if is_id_key(key)}


async def test_a_shard_counts_a_repeated_record_once_and_says_so() -> None:
    with open_shard(TALLY, 1000) as shard:
        await Restore(shard).run()
        await counted(shard, [b"1", b"2", b"1"])
        await torn_flush(shard, [b"3", b"2", b"3"])
        await counted(shard, [b"3", b"2", b"3"])
        await counted(shard, [b"3"])
        row = (await asyncio.to_thread(shard.store.get_many, [b"word"]))[0]
        assert row is not None
        assert unpack_row(row) == (3, 6)
        totals = shard.store.state.totals
        assert (totals.records, totals.counted, totals.skipped) == (7, 3, {"duplicate": 4})


async def test_rows_of_ids_are_removed_after_two_generations() -> None:
    with open_shard(TALLY, 1000) as shard:
        shard.services = replace(shard.services, id_span=2)
        await Restore(shard).run()
        await counted(shard, [b"1", b"2", b"3", b"4"])
        assert keys_of_ids(shard) == {id_key(0, b"1"), id_key(0, b"2"), id_key(1, b"3"), id_key(1, b"4")}
        await counted(shard, [b"5", b"6"])
        shard.look_for_expired()
        assert shard.is_clearing
        await shard.flush()
        await asyncio.sleep(0)
        assert keys_of_ids(shard) == {id_key(2, b"5"), id_key(2, b"6")}
        assert not shard.is_clearing
