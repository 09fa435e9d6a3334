"""Ids of records in the simulation, and what is true of them: found by looking back at all records before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from random import Random

from tables.model.record_ids import id_key, is_id_key

SPAN = 4
"""Records with ids of a generation: few, so that ids are soon forgotten."""

_IDS = [b"i%d" % number for number in range(7)]


def random_id(random: Random) -> bytes | None:
    return random.choice(_IDS) if random.random() < 0.6 else None


class IdTruth:
    """The records with ids of one partition of the input, and which of them count."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._ids: list[bytes] = []

    def add(self, offset: int, record_id: bytes | None) -> bool:
        """Take the next record. Return whether it counts: no record of its generation or of the one before has its id."""
        if record_id is None:
            return True
        number = len(self._ids)
        oldest = max(0, number // SPAN - 1) * SPAN
        is_first = record_id not in self._ids[oldest:]
        self._offsets.append(offset)
        self._ids.append(record_id)
        return is_first

    def records(self, upto: int) -> int:
        """Return the number of records with an id below `upto`."""
        return bisect_left(self._offsets, upto)

    def count(self, key: bytes, upto: int) -> int:
        """Return what the row of `key` has to say that counts up to `upto`; 0 = there is no such row."""
        return self._rows(upto).get(key, 0)

    def rows(self, upto: int) -> Mapping[bytes, int]:
        """Return the counts of the rows that are needed at the position `upto`."""
        return {key: count for key, count in self._rows(upto).items() if not self.is_gone(key, upto)}

    def is_gone(self, key: bytes, position: int) -> bool:
        """Return whether a row counts no longer at `position`, and never will again."""
        return is_id_key(key) and key < id_key(max(0, self.records(position) // SPAN - 1), b"")

    def _rows(self, upto: int) -> Mapping[bytes, int]:
        found: dict[bytes, int] = {}
        for number in range(self.records(upto)):
            found.setdefault(id_key(number // SPAN, self._ids[number]), self._offsets[number] + 1)
        return found
