"""The cost of counting, as a ratio: CPU seconds of the real count path over those of fixed work of the same kind.

The count path is `Shard.flush` as the worker runs it (tally, old counts, packing, RocksDB), with a changelog that acknowledges what it
is given. The yardstick uses Python's dictionaries, Arrow and numpy in about the same shares, and none of our code: a machine that is
slower, or busier, is slower at both. CPU time is the whole process's, so that waiting counts for nothing. What neighbours take away is
left out by small steps: buffers of 50,000 words are timed in turn with their yardsticks, and the least of several passes counts.

`python -m bench.hot_path [NAME ...]` prints what baselines are chosen from; names are those of `WORKLOADS`.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from aiokafka.producer.message_accumulator import BatchBuilder
from rocksdict import Cache

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from bench.corpus import CORPORA
from tables.cache.vocabulary import VocabularyLimit
from tables.kafka.changelog import packed
from tables.model.records import ChangelogSlice, DeadLetter, Int64Array, RecordBatch
from tables.model.tally import Tally
from tables.partitions.restore import Restore
from tables.partitions.services import ShardServices
from tables.partitions.shard import Shard
from tables.store.partition_store import PartitionStore
from tables.top.leaders import Leaders

LINES = 30_000
BUFFERS = 6
"""Of 50,000 words: rows enough for a sorted file each, and too few of them to be compacted."""

MOST_PASSES = 16
"""From here on the least of each buffer does not get less."""

_BLOCK_CACHE_BYTES = 16 << 20
_BATCH_LINES = 1000
_SHARE_PASSES = 5


@dataclass(frozen=True)
class Workload:
    """What is counted.

    Attributes:
        corpus: name in `bench.corpus.CORPORA`, with lines of ten words.
        vocabulary_words: whose counts are cached.
    """

    corpus: str
    vocabulary_words: int


WORKLOADS: Mapping[str, Workload] = {
    "repeating": Workload("zipf", 1_000_000),
    "distinct": Workload("distinct", 30_000),
}
"""Words that are found in the cache; and words of which most are not, of which the store is asked, and which the cache refuses."""


@dataclass(frozen=True)
class Costs:
    """CPU seconds, of all buffers together.

    Attributes:
        counting: of the count path.
        slowed: of the count path with a planted loss.
        yardstick: of the fixed work.
    """

    counting: float
    slowed: float
    yardstick: float

    @property
    def ratio(self) -> float:
        """What counting costs, in units of the yardstick."""
        return self.counting / self.yardstick

    @property
    def slowed_ratio(self) -> float:
        """What counting with the planted loss costs, in units of the yardstick."""
        return self.slowed / self.yardstick


class Meter:
    """Times all three in turn, buffer by buffer, and keeps the least of each buffer.

    Args:
        workload: what is counted.
        planted_loss: share of the count path's own time that the slowed one wastes on top.
    """

    def __init__(self, workload: Workload, planted_loss: float) -> None:
        self._planted_loss = planted_loss
        self._vocabulary_words = workload.vocabulary_words
        self._texts = [line for chunk in CORPORA[workload.corpus].lines(LINES) for line in chunk]
        self._least = np.full((BUFFERS, 3), np.inf)
        asyncio.run(self._pass())  # Imports, first touches of memory; and how much to waste.

    def run(self, passes: int) -> Costs:
        """Go over the text `passes` times more, half a second or two each; the costs as known by now."""
        gc.collect()
        gc.disable()
        try:
            for _ in range(passes):
                self._least = np.minimum(self._least, asyncio.run(self._pass()))
        finally:
            gc.enable()
        return Costs(*self._least.sum(axis=0).tolist())

    async def _pass(self) -> list[tuple[float, float, float]]:
        """CPU seconds per buffer, in the order of `Costs`. Stores are new and empty."""
        tally = RecordTally(tokenizer("whitespace"), value_format("text", ""), Policies())
        slowed_tally = _Slowed(tally)
        counts: dict[bytes, int] = {}
        found = []
        words = self._vocabulary_words
        with open_shard(tally, words) as shard, open_shard(slowed_tally, words) as slowed_shard:
            await Restore(shard).run()
            await Restore(slowed_shard).run()
            size = LINES // BUFFERS
            for buffer in range(BUFFERS):
                texts = self._texts[buffer * size : (buffer + 1) * size]
                started = time.process_time()
                _yardstick(texts, counts)
                yardstick = time.process_time() - started
                counting = await _flushed(shard, texts, buffer * size)
                slowed_tally.wasted_s = self._planted_loss * min(counting, self._least[buffer, 0])
                slowed = await _flushed(slowed_shard, texts, buffer * size)
                found.append((counting, slowed, yardstick))
        return found


def leaders_share(workload: str) -> float:
    """The part of a flush's CPU time that keeping the leaders of the partition takes, in flushes of the hot path."""
    texts = [line for chunk in CORPORA[WORKLOADS[workload].corpus].lines(LINES) for line in chunk]
    shares: list[float] = []

    async def count() -> None:
        tally = RecordTally(tokenizer("whitespace"), value_format("text", ""), Policies())
        with open_shard(tally, WORKLOADS[workload].vocabulary_words) as shard, _timed_leaders() as seconds:
            await Restore(shard).run()
            size = LINES // BUFFERS
            flushes_s = 0.0
            for buffer in range(BUFFERS):
                flushes_s += await _flushed(shard, texts[buffer * size : (buffer + 1) * size], buffer * size)
            shares.append(sum(seconds) / flushes_s)

    for _ in range(_SHARE_PASSES):
        asyncio.run(count())
    return statistics.median(shares)


@contextmanager
def _timed_leaders() -> Iterator[list[float]]:
    """The CPU seconds of each `Leaders.with_rows` in the context."""
    seconds: list[float] = []
    with_rows = Leaders.with_rows

    def timed(leaders: Leaders, words: pa.BinaryArray, counts: Int64Array) -> Leaders:
        started = time.thread_time()
        after = with_rows(leaders, words, counts)
        seconds.append(time.thread_time() - started)
        return after

    with mock.patch.object(Leaders, "with_rows", timed):
        yield seconds


async def _flushed(shard: Shard, texts: Sequence[bytes], first_offset: int) -> float:
    """CPU seconds of counting one buffer."""
    batches = [
        RecordBatch(
            pa.array(texts[start : start + _BATCH_LINES], pa.binary()),
            first_offset + start,
            first_offset + start + _BATCH_LINES,
        )
        for start in range(0, len(texts), _BATCH_LINES)
    ]
    started = time.process_time()
    assert shard.add(batches)
    await shard.flush()
    return time.process_time() - started


@contextmanager
def open_shard(tally: Any, vocabulary_words: int) -> Iterator[Shard]:
    """A shard on a new, empty store, to be restored; its changelog acknowledges at once."""
    with tempfile.TemporaryDirectory(prefix="wordcount-hot-path-") as folder:
        store = PartitionStore(Path(folder) / "0", Cache(_BLOCK_CACHE_BYTES))
        try:
            yield Shard(0, store, _services(tally, vocabulary_words))
        finally:
            store.close()


class _Slowed:
    """A tally that wastes `wasted_s` of CPU time with each buffer."""

    def __init__(self, tally: RecordTally) -> None:
        self.identity = tally.identity
        self.wasted_s = 0.0
        self._tally = tally

    def __call__(self, batches: Sequence[RecordBatch]) -> Tally:
        until = time.thread_time() + self.wasted_s
        while time.thread_time() < until:
            pass
        return self._tally(batches)


def _yardstick(texts: Sequence[bytes], counts: dict[bytes, int]) -> int:
    """Work like that of the count path; adds the words of `texts` to `counts`."""
    array = pa.array(texts, pa.binary()).cast(pa.string())
    found = pc.value_counts(pc.list_flatten(pc.utf8_split_whitespace(array)))
    words = found.field("values").cast(pa.binary())
    order = pc.sort_indices(words)
    keys = words.take(order).to_pylist()
    numbers = found.field("counts").take(order).to_numpy()
    sums = np.array([counts.get(key, 0) for key in keys], np.int64) + numbers
    counts.update(zip(keys, sums.tolist(), strict=True))
    packed = [key + number.to_bytes(8, "big") for key, number in zip(keys, sums.tolist(), strict=True)]
    return len(b"".join(sorted(packed, reverse=True)))


class _Acknowledging:
    """A changelog that takes everything and keeps nothing; packs as the real one does."""

    def __init__(self) -> None:
        self._end = 0

    def pack(self, keys: Sequence[bytes], values: Sequence[bytes]) -> Sequence[BatchBuilder]:
        return packed(keys, values, "snappy")

    async def append(self, partition: int, records: Sequence[BatchBuilder]) -> list[tuple[int, int]]:
        ranges = []
        for batch in records:
            ranges.append((self._end, self._end + batch.record_count()))
            self._end = ranges[-1][1]
        return ranges

    async def identity(self) -> str:
        return "changelog"

    async def end_offset(self, partition: int) -> int:
        return self._end

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        return iter(())


class _Owner:
    def check(self) -> None:
        pass

    async def prove(self, partition: int, position: int) -> None:
        pass


class _Source:
    async def identity(self) -> str:
        return "input"

    async def bounds(self, partition: int) -> tuple[int, int]:
        return 0, LINES

    async def seek(self, partition: int, position: int) -> None:
        pass


class _NoDeadLetters:
    async def send(self, partition: int, letters: Sequence[DeadLetter]) -> None:
        raise AssertionError("nothing here cannot be counted")


def _services(tally: Any, vocabulary_words: int) -> ShardServices:
    def run(function: Callable[..., Any], /, *arguments: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    return ShardServices(
        topic="input",
        group="bench",
        profile=tally.identity,
        tally=tally,
        changelog=_Acknowledging(),
        ownership=_Owner(),
        source=_Source(),
        dead_letters=_NoDeadLetters(),
        vocabulary=VocabularyLimit(vocabulary_words),
        run=run,
        run_long=run,
    )


def main(names: Sequence[str]) -> None:
    """Print what a baseline is chosen from: some ratios, each of a new meter."""
    if unknown := set(names) - set(WORKLOADS):
        raise SystemExit(f"no such workload: {', '.join(sorted(unknown))}; there are: {', '.join(WORKLOADS)}")
    for name in names or WORKLOADS:
        for _ in range(10):
            costs = Meter(WORKLOADS[name], 0.2).run(MOST_PASSES)
            print(
                f"{name}: ratio {costs.ratio:.3f}, with a loss of a fifth {costs.slowed_ratio:.3f}   {costs}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
