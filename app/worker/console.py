"""Console mode: prints each counted word as `(word,total)`, one line per occurrence, as soon as the count is durable.

The total is the count of the word in all partitions that this process can answer for at that moment. While the process keeps the
same partitions, the total of a word rises by one from line to line, whatever partition the occurrence is in. A partition that is
assigned adds its former counts to the totals, and a partition that is revoked takes its counts away. Occurrences that another process
counted, or that a restore found in the changelog, are not printed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Protocol

import structlog

from agents.text.tally import RecordTally
from agents.text.tokenizer import Tokenizer
from agents.text.value_format import JsonFormat, UnreadableError, ValueFormat
from app.output import GuardedStream, OutputError
from app.printable import printable
from tables.errors import NotReadyError
from tables.model.records import RecordBatch
from tables.model.rows import unpack_row
from tables.ports import CountedRows
from tables.store.partition_store import PartitionStore

_log = structlog.get_logger(__name__)


class StoreOwner(Protocol):
    """The part of `tables.partitions.shard.Shard` that this module uses."""

    @property
    def store(self) -> PartitionStore:
        """The store with the rows of the shard's partition."""


class CountPrinter:
    """Prints the words of each flush; implements `tables.ports.CommitWitness`. Keeps no counts between flushes.

    Flushes become visible and are printed one at a time, so that the stores of the other partitions contain exactly the occurrences
    that were printed. This class runs in the flush threads: a slow reader of the output delays flushes, but nothing else.

    Args:
        tokens_of: returns the counted words of one record batch, in the order of the text.
        shards: returns the shards that can answer, by partition; called in a thread.
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
        """Commit a flush and print its words, see `CommitWitness`."""
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
                _log.warning("counts are no longer printed: nobody reads the output", error=str(error))

    def _elsewhere(self, partition: int, words: Sequence[bytes]) -> Sequence[int]:
        """Return the count of each word of `words` in all other partitions together."""
        sums = [0] * len(words)
        for number, shard in self._shards().items():
            if number == partition:
                continue
            try:
                with shard.store.snapshot():  # The store cannot be closed before the snapshot ends.
                    found = shard.store.get_many(words)
            except NotReadyError:
                continue  # The partition is being revoked, so its counts no longer belong to the totals.
            sums = [
                total + (unpack_row(row)[0] if row else 0) for total, row in zip(sums, found, strict=True)
            ]
        return sums


def _lines(tokens: Sequence[bytes], rows: CountedRows, elsewhere: Sequence[int]) -> Iterator[str]:
    """Yield one line per occurrence that this flush added.

    If a row was ahead, the first occurrences of its word were counted before and are left out.
    """
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


def tokens_of(
    words: Tokenizer, text_format: ValueFormat, tally: RecordTally
) -> Callable[[RecordBatch], Sequence[bytes]]:
    """Return a function that lists the counted words of a record batch in the order of the text: a tally has the words sorted."""

    def text_of(value: bytes) -> str:
        text = value.decode("utf-8", "replace")
        return text_format.text_of(text.encode()) if isinstance(text_format, JsonFormat) else text

    def tokens(batch: RecordBatch) -> Sequence[bytes]:
        found: list[bytes] = []
        for record in batch.single_records():
            counted = set(tally([record]).words.to_pylist())
            if counted:
                try:
                    in_text = words.tokens(text_of(record.values[0].as_py()))
                except UnreadableError:
                    continue
                found += [word for token in in_text if (word := token.encode()) in counted]
        return found

    return tokens
