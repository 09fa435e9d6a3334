"""Console mode: each counted word as `(word,total)`, one line per occurrence, once the count is durable.

A total is the count of the word in all partitions that this process can answer for at that moment: from line to line it goes up by
one, whichever partition the occurrence is in, as long as partitions neither come nor go. One that comes brings what was counted in it
before, and one that goes takes its counts along; what another process counted, or a restore found counted, has no lines.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Protocol

import structlog

from app.output import GuardedStream, OutputError
from app.printable import printable
from tables.errors import NotReadyError
from tables.model.records import RecordBatch
from tables.model.rows import unpack_row
from tables.ports import CountedRows
from tables.store.partition_store import PartitionStore

_log = structlog.get_logger(__name__)


class StoreOwner(Protocol):
    """A shard, as far as it is needed here."""

    @property
    def store(self) -> PartitionStore:
        """The rows of its partition."""


class CountPrinter:
    """A `tables.ports.CommitWitness` that prints. Remembers nothing from flush to flush.

    One flush at a time becomes visible and is printed: the stores of the other partitions then hold exactly what was printed of them.
    It all happens in threads of flushes, so that a reader that is slow holds the flushes up and nothing else.

    Args:
        tokens_of: the words of one record batch, in order, as they were counted.
        shards: the shards that can answer, by partition; called in a thread.
    """

    def __init__(
        self,
        tokens_of: Callable[[RecordBatch], Sequence[bytes]],
        shards: Callable[[], Mapping[int, StoreOwner]],
    ) -> None:
        self._tokens_of = tokens_of
        self._shards = shards
        self._one_at_a_time = Lock()
        self._readable = True

    def __call__(self, partition: int, rows: CountedRows, commit: Callable[[], None]) -> None:
        """See `CommitWitness`."""
        if not self._readable:
            commit()
            return
        tokens = [token for batch in rows.batches for token in self._tokens_of(batch)]
        with self._one_at_a_time:
            commit()
            elsewhere = self._elsewhere(partition, rows.words)
            # Faust redirects sys.stdout into its log.
            out = GuardedStream(sys.__stdout__, raises=True)
            try:
                out.write("".join(_lines(tokens, rows, elsewhere)))
                out.flush()
            except OutputError as error:
                self._readable = False
                _log.warning("counts are not printed any more: nobody reads them", error=str(error))

    def _elsewhere(self, partition: int, words: Sequence[bytes]) -> Sequence[int]:
        """The counts of `words` in all other partitions, summed."""
        sums = [0] * len(words)
        for number, shard in self._shards().items():
            if number == partition:
                continue
            try:
                with shard.store.snapshot():  # A close waits for it.
                    found = shard.store.get_many(words)
            except NotReadyError:
                continue  # It goes right now, and takes its counts along.
            sums = [
                total + (unpack_row(row)[0] if row else 0) for total, row in zip(sums, found, strict=True)
            ]
        return sums


def _lines(tokens: Sequence[bytes], rows: CountedRows, elsewhere: Sequence[int]) -> Iterator[str]:
    """One line per occurrence that this flush added; those that rows ahead of it had already come first, and are left out."""
    left_out = Counter(tokens)
    totals: dict[bytes, int] = {}
    for word, added, count, other in zip(
        rows.words, rows.added.tolist(), rows.counts.tolist(), elsewhere, strict=True
    ):
        left_out[word] -= added
        totals[word] = count - added + other
    for word in tokens:
        if left_out[word] > 0:
            left_out[word] -= 1
            continue
        totals[word] += 1
        yield f"({printable(word.decode())},{totals[word]})\n"
