"""Console mode: each counted word as `(word,total)`, one line per occurrence, once the count is durable."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from app.printable import printable
from tables.changes import Flushed
from tables.rows import unpack_row
from tables.shard import Shard
from tables.windows import RecordBatch


class CountPrinter:
    """Prints running totals over all partitions of this process.

    Args:
        tokens_of: the words of one record batch, in order, as they were counted.
        shards: the shards that can answer.
    """

    def __init__(
        self, tokens_of: Callable[[RecordBatch], Sequence[bytes]], shards: Callable[[], Mapping[int, Shard]]
    ) -> None:
        self._tokens_of = tokens_of
        self._shards = shards
        self._totals: dict[bytes, int] = {}

    def flushed(self, partition: int, flushed: Flushed) -> None:
        """Print what a flush counted; totals of words not printed before begin at what was stored before this flush."""
        tokens = [token for batch in flushed.batches for token in self._tokens_of(batch)]
        for word, count in Counter(tokens).items():
            if word not in self._totals:
                self._totals[word] = self._stored(word) - count
        lines: list[str] = []
        for word in tokens:
            self._totals[word] += 1
            lines.append(f"({printable(word.decode())},{self._totals[word]})\n")
        # Faust redirects sys.stdout into its log.
        if sys.__stdout__ is not None:
            sys.__stdout__.write("".join(lines))
            sys.__stdout__.flush()

    def _stored(self, word: bytes) -> int:
        rows = (shard.store.get_at(word)[0] for shard in self._shards().values())
        return sum(unpack_row(row)[0] for row in rows if row is not None)
