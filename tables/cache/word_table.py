"""Hash table from short words to ids, in numpy arrays: a lookup handles thousands of words at once, without the GIL.

A word of up to 15 bytes is kept whole, as two numbers of eight bytes: its bytes, then zeros, then its length in the last byte. So a
word is found by comparing numbers, exactly, and takes 24 to 48 bytes where a Python dict takes 125 to 180. The table uses open
addressing with linear probing (Knuth, The Art of Computer Programming, volume 3, 6.4): all words of a lookup take their first step
together, the words that are not found yet take the second step together, and so on. At most half of the slots are taken, so that few
steps are needed.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.model.byte_arrays import UInt64Array, eight_bytes, lengths
from tables.model.records import Int64Array

SHORT_BYTES = 15
"""Bytes of the longest word that the table takes."""

NO_ID = -1
"""Stands for the id of a word that has none, and marks an empty slot."""

Int32Array = npt.NDArray[np.int32]

_FIRST_SLOTS = 1 << 12
_MASK = (1 << 64) - 1
_FOLD = 29


class WordTable:
    """Maps short words to ids. One thread adds at a time; other threads may look up meanwhile, and miss only words being added."""

    def __init__(self) -> None:
        # The factors are random in each process, so that an attacker cannot choose words that all fall into one slot.
        self._factors = tuple(secrets.randbits(64) | 1 for _ in range(3))
        self._slots = _empty_slots(_FIRST_SLOTS)
        self._high, self._low = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
        self._taken = 0

    def find(self, words: pa.BinaryArray) -> Int64Array:
        """Return the id of each of `words`, which are short; `NO_ID` = the word is not in the table."""
        return self._probe(*_keys_of(words))[0].astype(np.int64)

    def add(self, words: pa.BinaryArray, ids: Int64Array) -> None:
        """Give each word its id. The `words` are short, distinct and not in the table; no other word has one of the `ids`."""
        if not len(words):
            return
        high, low = _keys_of(words)
        # Keys are written before slots, so that a thread that finds an id in a slot also finds its key.
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
        """Return the id of one short word; None = the word is not in the table."""
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
        """Return the words that have `ids`, all of which are in the table."""
        keys = np.stack([self._high[ids], self._low[ids]], axis=1).astype(">u8")
        return [key[: key[SHORT_BYTES]] for key in keys.view("V16").ravel().tolist()]

    def _first_slots(self, high: UInt64Array, low: UInt64Array, slot_count: int) -> Int64Array:
        """Return the slot at which the search for each key begins; `slot_count` is a power of two."""
        by_high, by_low, last = (np.uint64(factor) for factor in self._factors)
        mixed = high * by_high ^ low * by_low
        mixed = (mixed ^ mixed >> np.uint64(_FOLD)) * last
        return (mixed >> np.uint64(64 - (slot_count - 1).bit_length())).view(np.int64)

    def _probe(self, high: UInt64Array, low: UInt64Array) -> tuple[Int32Array, Int64Array]:
        """Return (id, slot) of each key; for a key that is not in the table `NO_ID` and the empty slot that ended the search."""
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
        """Return for each id, taken from a slot, whether it belongs to another word than the key; False for an empty slot."""
        same = (self._high.take(ids, mode="wrap") == high) & (self._low.take(ids, mode="wrap") == low)
        return (ids != NO_ID) & ~same


def _claim(table: Int32Array, ids: Int32Array, slots: Int64Array) -> None:
    """Put each of `ids` into the first empty slot at or after its slot in `slots`, with wrap-around."""
    while len(ids):
        empty = table[slots] == NO_ID
        table[slots[empty]] = ids[
            empty
        ]  # If several ids want one slot, one of them stays and the others go on.
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
    """Return the two numbers of each word: bytes 0 to 7, and bytes 8 to 14 with the length."""
    return eight_bytes(words), eight_bytes(words, 8) | lengths(words).astype(np.uint64)


def _key_of(word: bytes) -> tuple[int, int]:
    padded = word.ljust(SHORT_BYTES, b"\0") + bytes([len(word)])
    return int.from_bytes(padded[:8], "big"), int.from_bytes(padded[8:], "big")
