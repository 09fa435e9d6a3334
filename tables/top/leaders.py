"""The most frequent words of a partition, exact, and a bound that no other of its words exceeds: what top-k begins with.

Counts only grow. So a word that is not among the leaders can become one only by a row that is written, and a flush brings them forward
by looking at the counts of its own rows: those above the bound are kept, the others cannot matter. Kept rows are joined only when
they have become many, or when somebody reads.

Rows may be given in any order and more than once, as in `tables.model.rows`: of two counts of a word the larger one is newer. That
lets a pass over a store gather leaders while flushes go on.
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
"""Of one partition: about 50 kB for words of eight bytes, at most four times as much."""

_JOINED_AT = 4
"""Times as many rows as leaders are kept before they are joined: with 2 it costs a tenth more, with 8 readers join twice as long."""

_LEADERS_PER_HEAD = 8
"""256 words prove the first 100 of a text whose words are spread over the partitions; each costs Python 180 bytes."""

_MOST_PARTS = 64
"""Flushes whose rows are kept before they are joined, however few rows they have."""

_MOST_COUNTED = 1 << 14
"""Smaller counts are counted, larger ones compared, to find the leaders among rows."""

NO_WORDS = pa.array([], pa.binary())
NO_COUNTS: Int64Array = np.empty(0, np.int64)


class ScannedRows(Protocol):
    """Rows that a pass goes through."""

    def scan(self, start: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` (word, row) pairs with word >= `start`, in byte order."""
        ...

    @property
    def exact_position(self) -> int | None:
        """Where the rows are exact, None where some are ahead of it."""
        ...


class Leaders:
    """The leaders of some rows; a value that never changes.

    Args:
        most: how many leaders are kept.

    Attributes:
        most: see above.
        head: the first of them.
    """

    def __init__(self, most: int = MOST_LEADERS) -> None:
        self.most = most
        self.head = Head({}, 0)
        self._kept = _Kept(0, (), ())

    def with_rows(self, words: pa.BinaryArray, counts: Int64Array) -> Leaders:
        """The leaders after rows that say `counts` (> 0) of `words`, which are all different."""
        kept = self._kept
        places, bound = np.flatnonzero(counts > kept.bound), kept.bound
        if not len(places):
            return self
        if len(places) > self.most:
            places, bound = _largest(counts, places, self.most)
        after = Leaders(self.most)
        after.head = self.head.with_rows(words, counts, places, bound, 1 + self.most // _LEADERS_PER_HEAD)
        # What is not above the new bound stays until the parts are joined; nobody sees it before.
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
        """(leaders in no order, their counts, the bound): no other word has a larger count than the bound; 0 = there is no other."""
        kept = self._kept
        if len(kept.counts) != 1:
            # Another thread may do the same; both come to equal values.
            self._kept = kept = kept.joined(self.most)
        return kept.words[0], kept.counts[0], kept.bound


class Head(NamedTuple):
    """The most frequent of the leaders, ready to be added up: so few that a reader need not let go of the GIL for each step.

    Attributes:
        counts: word -> count.
        bound: no other word of the rows has a larger count; 0 = there is no other.
    """

    counts: Mapping[bytes, int]
    bound: int

    def with_rows(
        self, words: pa.BinaryArray, counts: Int64Array, places: Int64Array, bound: int, most: int
    ) -> Head:
        """The head of `most` words after the rows at `places`; other rows are not above `bound`. See `Leaders.with_rows`."""
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
            # A row that was not taken outdates a count here only where that is less than `most` others.
            ranked = sorted(found.items(), key=itemgetter(1), reverse=True)
            found, bound = dict(ranked[:most]), max(bound, ranked[most][1])
        return Head(found, bound)


class _Kept(NamedTuple):
    """Rows that may be leaders, in parts: a word may be in several, with different counts. All others are at most `bound`."""

    bound: int
    words: tuple[pa.BinaryArray, ...]
    counts: tuple[Int64Array, ...]

    def joined(self, most: int) -> _Kept:
        """The same as one part, with each leader once."""
        encoded = pa.concat_arrays([NO_WORDS, *self.words]).dictionary_encode()
        newest = np.zeros(len(encoded.dictionary), np.int64)
        np.maximum.at(newest, encoded.indices.to_numpy(), np.concatenate([NO_COUNTS, *self.counts]))
        # A newer row that was not kept is at most the bound, and a count that it outdated is less.
        places, bound = np.flatnonzero(newest >= self.bound), self.bound
        if len(places) > most:
            places, dropped = _largest(newest, places, most)
            bound = max(bound, dropped)
        return _Kept(bound, (encoded.dictionary.take(pa.array(places)),), (newest[places],))


class LeadersVersion(NamedTuple):
    """The leaders of the rows of one commit.

    Attributes:
        position: where the rows are exact, None where some are ahead of it.
        leaders: of them.
    """

    position: int | None
    leaders: Leaders


class PartitionLeaders:
    """The leaders of one store, brought forward with it: as of the last commit, and of the one before or under way.

    A store that is not empty when it is opened has to be gone through before its leaders are known; `gather` does that piece by piece,
    while flushes go on. Methods may be called from any thread; none but `gather` and `advancing` waits for another one.

    Args:
        position: where the rows are exact, None where some are ahead of it.
        empty: whether there are no rows yet.
        most: how many leaders are kept.
    """

    def __init__(self, position: int | None, *, empty: bool, most: int = MOST_LEADERS) -> None:
        self._lock = Lock()
        self._empty = Leaders(most)
        self._whole = empty
        self._next_word = b""
        self._versions: Sequence[LeadersVersion] = (LeadersVersion(position, self._empty),)

    @property
    def whole(self) -> bool:
        """Whether all rows of the store have been looked at."""
        return self._whole

    @property
    def newest(self) -> LeadersVersion:
        """That of the last commit, or of the one under way: another object from the moment on at which a commit begins."""
        return self._versions[-1]

    def at(self, position: int) -> LeadersVersion | None:
        """The leaders of the rows of exactly `[origin, position)`; None where they are not known, or not any more."""
        versions = self._versions
        if not self._whole:
            return None
        return next((version for version in versions if version.position == position), None)

    @contextmanager
    def advancing(self, words: pa.BinaryArray, counts: Int64Array, position: int | None) -> Iterator[None]:
        """Around a commit that brings a store these rows, and to `position`.

        Readers find the new leaders before the store has the rows: whoever sees the store's new position finds them. An error leaves
        open what the store has, so that all of it is gone through again.
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
        """Go on with the pass over `store`, to its end unless `check`, called after each slice, raises an error."""
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
    """Those `most` of `places`, which are more, where `counts` are largest, ascending; and the largest count of the other ones."""
    among = counts[places]
    least = _at_least(among, most)
    above, ties = np.flatnonzero(among > least), np.flatnonzero(among == least)
    room = most - len(above)
    dropped = least if room < len(ties) else among[among < least].max()
    return places[np.sort(np.concatenate([above, ties[:room]]))], int(dropped)


def _at_least(counts: Int64Array, most: int) -> int:
    """The largest number that `most` of `counts` (> 0), which are more, are not below.

    Most words have small and equal counts, with which `np.partition` is slow: 32 ms where 250,000 words occur once or twice. This
    takes 0.6 ms.
    """
    numbers_of = np.bincount(np.minimum(counts, _MOST_COUNTED))
    if numbers_of[-1] >= most and len(numbers_of) > _MOST_COUNTED:
        large = counts[counts >= _MOST_COUNTED]
        return int(np.partition(large, len(large) - most)[-most])
    # From the largest count down to the first that makes them enough.
    return len(numbers_of) - 1 - int(np.searchsorted(np.cumsum(numbers_of[::-1]), most))
