"""Leaders of a partition: its most frequent words with exact counts, and a bound that no other word's count exceeds (top-k, ADR 12).

Counts only grow. So a word outside the leaders can become a leader only by a new row. A flush updates the leaders from the counts of
its own rows: rows above the bound are kept, and the other rows cannot matter. Kept rows are joined only when they have become many, or
when a reader needs them.

Rows may be given in any order and more than once, as in `tables.model.rows`: of two counts of a word the larger count is newer.
Therefore a pass over a store can gather leaders while flushes go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from tables.model.records import Int64Array
from tables.model.rows import unpack_rows
from tables.model.slices import SLICE_ROWS

MOST_LEADERS = 2048
"""Leaders of one partition. They take about 50 kB for words of eight bytes, at most four times as much."""

_JOINED_AT = 4
"""Kept rows per leader at which the rows are joined. With 2 a flush costs a tenth more; with 8 a reader's join takes twice as long."""

_LEADERS_PER_HEAD = 8
"""Leaders per word of the head: 256 head words prove the top 100 of a text whose words are spread over the partitions.

Each head word costs 180 bytes of Python objects.
"""

_MOST_PARTS = 64
"""Flushes whose rows are kept before the rows are joined, however few rows the flushes have."""

_MOST_COUNTED = 1 << 14
"""To find the leaders among rows, counts below this number are counted in bins, and larger counts are compared."""

NO_WORDS = pa.array([], pa.binary())
NO_COUNTS: Int64Array = np.empty(0, np.int64)


class ScannedRows(Protocol):
    """Rows of a store, which a pass scans for leaders."""

    def scan(self, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """Return at most `limit` (word, row) pairs with word >= `start`, in byte order of the words."""
        ...

    @property
    def exact_position(self) -> int | None:
        """Position of the rows; None = some rows are ahead of the position."""
        ...


class Leaders:
    """The leaders of some rows. The value of an instance never changes.

    Args:
        most: largest number of leaders.

    Attributes:
        most: largest number of leaders.
        head: the most frequent of the leaders.
    """

    def __init__(self, most: int = MOST_LEADERS) -> None:
        self.most = most
        self.head = Head({}, 0)
        self._kept = _Kept(0, (), ())

    @classmethod
    def of(cls, words: pa.BinaryArray, counts: Int64Array, bound: int, most: int) -> Leaders:
        """Return leaders as `read` has returned them.

        Args:
            words, counts: the leaders, each once, at most `most`.
            bound: no other word has a larger count.
            most: largest number of leaders.
        """
        leaders = cls(most).with_rows(words, counts)
        leaders.head = Head(leaders.head.counts, max(leaders.head.bound, bound))
        leaders._kept = leaders._kept._replace(bound=max(leaders._kept.bound, bound))
        return leaders

    def with_rows(self, words: pa.BinaryArray, counts: Int64Array) -> Leaders:
        """Return the leaders after rows with `counts` (> 0) of the distinct `words` were written."""
        kept = self._kept
        places, bound = np.flatnonzero(counts > kept.bound), kept.bound
        if not len(places):
            return self
        if len(places) > self.most:
            places, bound = _largest(counts, places, self.most)
        after = Leaders(self.most)
        after.head = self.head.with_rows(words, counts, places, bound, 1 + self.most // _LEADERS_PER_HEAD)
        # Kept rows that are not above the new bound stay until the parts are joined. Readers see the rows only joined.
        after._kept = _Kept(
            bound, (*kept.words, words.take(pa.array(places))), (*kept.counts, counts[places])
        )
        if (
            len(after._kept.counts) > _MOST_PARTS
            or sum(map(len, after._kept.counts)) > _JOINED_AT * self.most
        ):
            after.read()
        return after

    def read(self) -> tuple[pa.BinaryArray, Int64Array, int]:
        """Return (leaders in no order, their counts, bound). No other word has a larger count than the bound; 0 = no other word."""
        kept = self._kept
        if len(kept.counts) != 1:
            # Another thread may join the parts at the same time; both threads compute equal values.
            self._kept = kept = kept.joined(self.most)
        return kept.words[0], kept.counts[0], kept.bound


class Head(NamedTuple):
    """The most frequent of the leaders, as a dict that readers add up: so few words that no step has to release the GIL.

    Attributes:
        counts: word -> count.
        bound: no other word of the rows has a larger count; 0 = there is no other word.
    """

    counts: Mapping[bytes, int]
    bound: int

    def with_rows(
        self, words: pa.BinaryArray, counts: Int64Array, places: Int64Array, bound: int, most: int
    ) -> Head:
        """Return the head after rows were written; see `Leaders.with_rows`.

        Args:
            words, counts: the written rows.
            places: indices of the rows that may be leaders.
            bound: no row at another index has a larger count.
            most: largest number of words in the head.
        """
        places, bound = places[counts[places] > self.bound], max(self.bound, bound)
        if not len(places):
            return self
        if len(places) > most:
            places, dropped = _largest(counts, places, most)
            bound = max(bound, dropped)
        found = dict(self.counts)
        for word, count in zip(
            words.take(pa.array(places)).to_pylist(), counts[places].tolist(), strict=True
        ):
            found[word] = max(count, found.get(word, 0))
        if len(found) > most:
            # A row that was not taken can outdate a count here only if `most` other counts are larger, so that the slice drops it.
            ranked = sorted(found.items(), key=itemgetter(1), reverse=True)
            found, bound = dict(ranked[:most]), max(bound, ranked[most][1])
        return Head(found, bound)


class _Kept(NamedTuple):
    """Rows that may be leaders, in one part per flush. A word may be in several parts with different counts.

    Attributes:
        bound: no other word has a larger count.
        words, counts: the rows of each part.
    """

    bound: int
    words: tuple[pa.BinaryArray, ...]
    counts: tuple[Int64Array, ...]

    def joined(self, most: int) -> _Kept:
        """Return the at most `most` leaders as one part that has each leader once."""
        encoded = pa.concat_arrays([NO_WORDS, *self.words]).dictionary_encode()
        newest = np.zeros(len(encoded.dictionary), np.int64)
        np.maximum.at(newest, encoded.indices.to_numpy(), np.concatenate([NO_COUNTS, *self.counts]))
        # A newer row that was not kept has a count of at most the bound. The count that the newer row outdates is smaller.
        places, bound = np.flatnonzero(newest >= self.bound), self.bound
        if len(places) > most:
            places, dropped = _largest(newest, places, most)
            bound = max(bound, dropped)
        return _Kept(bound, (encoded.dictionary.take(pa.array(places)),), (newest[places],))


class LeadersVersion(NamedTuple):
    """The leaders of a store as of one commit.

    Attributes:
        position: position of the store; None = some rows are ahead of the position.
        leaders: the leaders of all rows of the store.
    """

    position: int | None
    leaders: Leaders


class PartitionLeaders:
    """Keeps the leaders of one store up to date: those of the last two commits, the last of which may be under way.

    If a store has rows when it is opened, and nobody knows its leaders, all its rows have to be scanned first; `gather` scans them in
    slices while flushes go on. All methods may be called from any thread. Only `gather` and `advancing` wait for other threads.

    Args:
        position: position of the store; None = some rows are ahead of the position.
        empty: whether the store has no rows.
        most: largest number of leaders.
        known: the leaders of its rows; None = not known.
    """

    def __init__(
        self,
        position: int | None,
        *,
        empty: bool,
        most: int = MOST_LEADERS,
        known: Leaders | None = None,
    ) -> None:
        self._lock = Lock()
        self._empty = Leaders(most)
        self._whole = empty or known is not None
        self._next_word = b""
        self._versions: Sequence[LeadersVersion] = (LeadersVersion(position, known or self._empty),)

    @property
    def whole(self) -> bool:
        """Whether all rows of the store are accounted for, so that the leaders are known."""
        return self._whole

    @property
    def newest(self) -> LeadersVersion:
        """The version of the commit under way, or else of the last commit. Each commit makes a new object when it begins."""
        return self._versions[-1]

    @property
    def known(self) -> LeadersVersion | None:
        """The newest version, if all rows of the store are accounted for in it; None = not known."""
        # A pass sets `_whole` after its last part. Read in this order, a version that is taken for whole has all parts.
        return self._versions[-1] if self._whole else None

    def at(self, position: int) -> LeadersVersion | None:
        """Return the leaders of the rows of exactly `[origin, position)`; None = not known, or no longer known."""
        if not self._whole:
            return None
        return next((version for version in self._versions if version.position == position), None)

    @contextmanager
    def advancing(self, words: pa.BinaryArray, counts: Int64Array, position: int | None) -> Iterator[None]:
        """Update the leaders around a commit; the `with` block commits.

        The new leaders are ready before the store has the rows, so that a reader who sees the new position of the store finds them. An
        error in the block leaves open which rows the store has: `gather` then has to scan the whole store again.

        Args:
            words, counts: the rows of the commit.
            position: position of the store after the commit; None = some rows are ahead of the position.
        """
        with self._lock:
            before = self._versions[-1]
            after = LeadersVersion(position, before.leaders.with_rows(words, counts))
            self._versions = (before, after)
            try:
                yield
            except BaseException:
                self._whole, self._next_word = False, b""
                self._versions = (LeadersVersion(None, self._empty),)
                raise

    def gather(self, store: ScannedRows, check: Callable[[], None]) -> None:
        """Continue the scan of `store` to its end. `check` is called after each slice; an error that it raises pauses the scan."""
        while not self._whole:
            with self._lock:
                rows = store.scan(self._next_word, SLICE_ROWS)
                words = pa.array([word for word, _ in rows], pa.binary())
                counts = unpack_rows([row for _, row in rows])[:, 0]
                leaders = self.newest.leaders.with_rows(words, counts)
                self._versions = (LeadersVersion(store.exact_position, leaders),)
                if rows:
                    self._next_word = rows[-1][0] + b"\x00"
                else:
                    self._whole = True
            check()


def _largest(counts: Int64Array, places: Int64Array, most: int) -> tuple[Int64Array, int]:
    """Return the `most` places with the largest counts, ascending, and the largest count of the other places.

    Args:
        counts: all counts.
        places: more than `most` indices of `counts`.
        most: number of places to return.
    """
    among = counts[places]
    least = _at_least(among, most)
    above, ties = np.flatnonzero(among > least), np.flatnonzero(among == least)
    room = most - len(above)
    dropped = least if room < len(ties) else among[among < least].max()
    return places[np.sort(np.concatenate([above, ties[:room]]))], int(dropped)


def _at_least(counts: Int64Array, most: int) -> int:
    """Return the largest number that at least `most` of the `counts` reach. There are more than `most` counts, all > 0.

    Most words have small and equal counts, with which `np.partition` is slow: it takes 32 ms if 250,000 words occur once or twice.
    This function takes 0.6 ms.
    """
    numbers_of = np.bincount(np.minimum(counts, _MOST_COUNTED))
    if numbers_of[-1] >= most and len(numbers_of) > _MOST_COUNTED:
        large = counts[counts >= _MOST_COUNTED]
        return int(np.partition(large, len(large) - most)[-most])
    # Add up the bins from the largest count downwards until `most` counts are reached.
    return len(numbers_of) - 1 - int(np.searchsorted(np.cumsum(numbers_of[::-1]), most))
