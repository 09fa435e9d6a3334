"""A hash table from short words to ids, in arrays: looked up for thousands of words at once, without the interpreter's lock.

A word of up to 15 bytes is kept whole, as two numbers of eight bytes: its bytes, zeros, and in the last byte its length. So a word is
found by comparing numbers, exactly, and takes 24 to 48 bytes where a Python dict takes 125 to 180. Open addressing with linear
probing (Knuth, The Art of Computer Programming, volume 3, 6.4): all words take their first step together, those that are not
done the second, and so on. At most half of the slots are taken, so that few steps are needed.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.model.byte_arrays import UInt64Array, eight_bytes, lengths
from tables.model.records import Int64Array

SHORT_BYTES = 15
"""Longest word that the table takes."""

NO_ID = -1

Int32Array = npt.NDArray[np.int32]

_FIRST_SLOTS = 1 << 12
_MASK = (1 << 64) - 1
_FOLD = 29


class WordTable:
    """Ids of short words. One thread adds at a time; any may look up meanwhile, and misses at most what is being added."""

    def __init__(self) -> None:
        # Chosen anew by each process: nobody can send words that all want the same slot.
        self._factors = tuple(secrets.randbits(64) | 1 for _ in range(3))
        self._slots = _empty_slots(_FIRST_SLOTS)
        self._high, self._low = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
        self._taken = 0

    def find(self, words: pa.BinaryArray) -> Int64Array:
        """The id of each word, NO_ID where it has none; the words are short."""
        return self._probe(*_keys_of(words))[0].astype(np.int64)

    def add(self, words: pa.BinaryArray, ids: Int64Array) -> None:
        """Give `ids`, which nobody has, to `words`, which are short, all different and not in the table."""
        if not len(words):
            return
        high, low = _keys_of(words)
        # Before the slots: whoever finds an id there finds its key.
        needed = int(ids.max()) + 1
        self._high, self._low = _grown(self._high, needed), _grown(self._low, needed)
        self._high[ids], self._low[ids] = high, low
        self._taken += len(words)
        given = ids.astype(np.int32)
        if 2 * self._taken > len(self._slots):
            given = np.concatenate([self._slots[self._slots != NO_ID], given])
            slots = _empty_slots(1 << (2 * self._taken).bit_length())
            _claim(slots, given, self._first_slots(self._high[given], self._low[given], len(slots)))
            self._slots = slots
        else:
            _claim(self._slots, given, self._probe(high, low)[1])

    def id_of(self, word: bytes) -> int | None:
        """The id of one short word."""
        slots, (high, low) = self._slots, _key_of(word)
        by_high, by_low, last = self._factors
        mixed = (high * by_high ^ low * by_low) & _MASK
        mixed = (mixed ^ mixed >> _FOLD) * last & _MASK
        slot = mixed >> 64 - (len(slots) - 1).bit_length()
        while (number := int(slots[slot])) != NO_ID:
            if self._high[number] == high and self._low[number] == low:
                return number
            slot = (slot + 1) & (len(slots) - 1)
        return None

    def words_of(self, ids: Int64Array) -> list[bytes]:
        """The words that have these ids."""
        keys = np.stack([self._high[ids], self._low[ids]], axis=1).astype(">u8")
        return [key[: key[SHORT_BYTES]] for key in keys.view("V16").ravel().tolist()]

    def _first_slots(self, high: UInt64Array, low: UInt64Array, slot_count: int) -> Int64Array:
        by_high, by_low, last = (np.uint64(factor) for factor in self._factors)
        mixed = high * by_high ^ low * by_low
        mixed = (mixed ^ mixed >> np.uint64(_FOLD)) * last
        return (mixed >> np.uint64(64 - (slot_count - 1).bit_length())).view(np.int64)

    def _probe(self, high: UInt64Array, low: UInt64Array) -> tuple[Int32Array, Int64Array]:
        """(id, slot) of each key; where there is none NO_ID, and the empty slot that ended the search."""
        table = self._slots
        slots = self._first_slots(high, low, len(table))
        ids = table.take(slots)
        searching = np.flatnonzero(self._is_other(ids, high, low))
        while len(searching):
            slots[searching] = step = (slots[searching] + 1) & (len(table) - 1)
            ids[searching] = found = table[step]
            searching = searching[self._is_other(found, high[searching], low[searching])]
        return ids, slots

    def _is_other(self, ids: Int32Array, high: UInt64Array, low: UInt64Array) -> npt.NDArray[np.bool_]:
        """Whether the slot is taken, by another word."""
        same = (self._high.take(ids, mode="wrap") == high) & (self._low.take(ids, mode="wrap") == low)
        return (ids != NO_ID) & ~same


def _claim(table: Int32Array, ids: Int32Array, slots: Int64Array) -> None:
    """Put each id into the first empty slot from its own on."""
    while len(ids):
        empty = table[slots] == NO_ID
        table[slots[empty]] = ids[empty]  # Of several ids for one slot one stays.
        lost = table[slots] != ids
        ids, slots = ids[lost], (slots[lost] + 1) & (len(table) - 1)


def _empty_slots(count: int) -> Int32Array:
    return np.full(count, NO_ID, np.int32)


def _grown(keys: UInt64Array, size: int) -> UInt64Array:
    if size <= len(keys):
        return keys
    grown = np.zeros(max(size, 2 * len(keys)), np.uint64)
    grown[: len(keys)] = keys
    return grown


def _keys_of(words: pa.BinaryArray) -> tuple[UInt64Array, UInt64Array]:
    return eight_bytes(words), eight_bytes(words, 8) | lengths(words).astype(np.uint64)


def _key_of(word: bytes) -> tuple[int, int]:
    padded = word.ljust(SHORT_BYTES, b"\0") + bytes([len(word)])
    return int.from_bytes(padded[:8], "big"), int.from_bytes(padded[8:], "big")
