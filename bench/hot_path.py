"""The cost of counting as a ratio: CPU seconds of the real count path over CPU seconds of fixed work of a similar kind.

The count path is `Shard.flush` as the worker runs it (tally, old counts, packing, RocksDB), with a changelog that acknowledges all
records at once. The fixed work, called the yardstick, uses Python's dictionaries, Arrow and numpy in about the shares of the count
path, and no code of Wordcount. A slower or busier machine is slower at both, so that the ratio stays. CPU time is that of the whole
process, so that waiting costs nothing. To keep out the influence of other programs, buffers of 50,000 words are timed in turn with
their yardsticks, and of several passes the smallest time of each buffer counts.

`python -m bench.hot_path [NAME ...]` prints ratios from which baselines are chosen; NAME is a key of `WORKLOADS`.
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
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rocksdict import Cache

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from bench.corpus import CORPORA
from tables.cache.vocabulary import VocabularyLimit
from tables.kafka.changelog import Batch, packed
from tables.model.records import ChangelogSlice, DeadLetter, Int64Array, RecordBatch
from tables.model.tally import Tally
from tables.model.windows import WindowState
from tables.partitions.restore import Restore
from tables.partitions.services import ShardServices
from tables.partitions.shard import Shard
from tables.ports import Tailed
from tables.store.partition_store import PartitionStore
from tables.top.leaders import Leaders

LINES = 30_000
BUFFERS = 6
"""Number of buffers of 50,000 words: each is large enough for a sorted file of its own, and the files are too few for compaction."""

MOST_PASSES = 16
"""Largest number of passes; with more passes the smallest time of each buffer does not become smaller."""

_BLOCK_CACHE_BYTES = 16 << 20
_BATCH_LINES = 1000
_SHARE_PASSES = 5


@dataclass(frozen=True)
class Workload:
    """A text and the size of the cache with which it is counted.

    Attributes:
        corpus: name in `bench.corpus.CORPORA`, with lines of ten words.
        vocabulary_words: number of words whose counts are cached.
    """

    corpus: str
    vocabulary_words: int


WORKLOADS: Mapping[str, Workload] = {
    "repeating": Workload("zipf", 1_000_000),
    "distinct": Workload("distinct", 30_000),
}
"""`repeating`: all words are found in the cache. `distinct`: most words are not in the cache, and the store is asked for them."""


@dataclass(frozen=True)
class Costs:
    """CPU seconds of all buffers together.

    Attributes:
        counting: CPU seconds of the count path.
        slowed: CPU seconds of the count path with a planted loss.
        yardstick: CPU seconds of the fixed work.
    """

    counting: float
    slowed: float
    yardstick: float

    @property
    def ratio(self) -> float:
        """Cost of counting, in units of the yardstick."""
        return self.counting / self.yardstick

    @property
    def slowed_ratio(self) -> float:
        """Cost of counting with the planted loss, in units of the yardstick."""
        return self.slowed / self.yardstick


class Meter:
    """Times yardstick, count path and slowed count path in turn, buffer by buffer, and keeps the smallest times of each buffer.

    Args:
        workload: what is counted.
        planted_loss: share of the count path's time that the slowed count path wastes in addition.
    """

    def __init__(self, workload: Workload, planted_loss: float) -> None:
        self._planted_loss = planted_loss
        self._vocabulary_words = workload.vocabulary_words
        self._texts = [line for chunk in CORPORA[workload.corpus].lines(LINES) for line in chunk]
        self._least = np.full((BUFFERS, 3), np.inf)
        asyncio.run(self._pass())  # This pass pays for imports and new memory, and is not counted.

    def run(self, passes: int) -> Costs:
        """Count the text `passes` times more, each in half a second to two seconds, and return the smallest costs so far."""
        gc.collect()
        gc.disable()
        try:
            for _ in range(passes):
                self._least = np.minimum(self._least, asyncio.run(self._pass()))
        finally:
            gc.enable()
        return Costs(*self._least.sum(axis=0).tolist())

    async def _pass(self) -> list[tuple[float, float, float]]:
        """Count the text once into new, empty stores; return CPU seconds per buffer, in the order of `Costs`."""
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
    """Return the share of a flush's CPU time that keeping the partition's leaders takes."""
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
    """Time each call of `Leaders.with_rows` in the context; the list receives CPU seconds."""
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
    """Count one buffer, and return its CPU seconds."""
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
    """Open a shard on a new, empty store, with a changelog that acknowledges at once; the caller has to restore the shard."""
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

    def __call__(self, batches: Sequence[RecordBatch], windows: WindowState | None = None) -> Tally:
        until = time.thread_time() + self.wasted_s
        while time.thread_time() < until:
            pass
        return self._tally(batches, windows)


def _yardstick(texts: Sequence[bytes], counts: dict[bytes, int]) -> int:
    """Do work like that of the count path, and add the words of `texts` to `counts`."""
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
    """A changelog that acknowledges all records and keeps none; packs records as the real changelog does."""

    def __init__(self) -> None:
        self._end = 0
        self.pack = partial(packed, "snappy")

    async def append(
        self,
        partition: int,
        records: Sequence[Batch],
        before_last: Callable[[], Awaitable[None]] | None = None,
    ) -> list[tuple[int, int]]:
        if before_last is not None:
            await before_last()
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


class _NoTail:
    def poll(self, wanted: Mapping[int, int], timeout_s: float) -> Mapping[int, Tailed]:
        raise AssertionError("nothing here is followed")

    def wake(self) -> None: ...

    def close(self) -> None: ...


def _services(tally: Any, vocabulary_words: int) -> ShardServices:
    def run(function: Callable[..., Any], /, *arguments: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    return ShardServices(
        topic="input",
        group="bench",
        profile=tally.identity,
        tally=tally,
        changelog=_Acknowledging(),
        tail=_NoTail(),
        ownership=_Owner(),
        source=_Source(),
        dead_letters=_NoDeadLetters(),
        vocabulary=VocabularyLimit(vocabulary_words),
        run=run,
        run_commit=run,
        run_long=run,
        run_close=run,
        run_tail=run,
    )


def main(names: Sequence[str]) -> None:
    """Print ten ratios per workload, each of a new meter, from which a baseline is chosen."""
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
