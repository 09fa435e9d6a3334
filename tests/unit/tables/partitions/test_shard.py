"""Which records a flush of a shard takes, on a real store; tests/simulation has the order and failures of a flush."""

import asyncio

import pyarrow as pa

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from bench.hot_path import open_shard
from tables.model.records import RecordBatch
from tables.partitions.restore import Restore


async def test_a_buffer_that_waits_to_be_counted_takes_records_in() -> None:
    tally = RecordTally(tokenizer("whitespace"), value_format("text", ""), Policies())
    with open_shard(tally, 1000) as shard:
        await Restore(shard).run()
        shard.add([_one_word_at(0)])
        async with shard.services.turns.turn(lambda: 0):
            flush = asyncio.create_task(shard.flush())
            await asyncio.sleep(0.01)
            shard.add([_one_word_at(1)])
        await flush
        assert shard.store.state.totals.records == 2
        assert shard.position == shard.next == 2


def _one_word_at(offset: int) -> RecordBatch:
    return RecordBatch(pa.array([b"word"], pa.binary()), offset, offset + 1)
