"""Bytes of words as numbers, eight at a time and for all words at once: what sorts them and finds them without a step of Python's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.windows import Int64Array

UInt64Array = npt.NDArray[np.uint64]

_CHUNK_BYTES = 8


def lengths(words: pa.BinaryArray) -> Int64Array:
    """Bytes of each word."""
    return np.diff(_bounds(words)).astype(np.int64)


def eight_bytes(words: pa.BinaryArray, first: int = 0) -> UInt64Array:
    """The bytes `[first, first + 8)` of each word as a big-endian number, zeros where a word is shorter; no word is null."""
    bounds = _bounds(words)
    there = np.clip(np.diff(bounds) - first, 0, _CHUNK_BYTES)
    if not there.any():
        return np.zeros(len(words), np.uint64)
    begin, end = int(bounds[0]), int(bounds[-1])
    padded = np.zeros(end - begin + first + _CHUNK_BYTES, np.uint8)
    padded[: end - begin] = np.frombuffer(words.buffers()[2], np.uint8)[begin:end]
    anywhere = np.ndarray(len(padded) - _CHUNK_BYTES + 1, ">u8", padded, strides=(1,))
    found = anywhere[bounds[:-1] - begin + first].astype(np.uint64)
    beyond = (8 * (_CHUNK_BYTES - there)).astype(np.uint64)
    # A shift by all 64 bits would do nothing.
    return np.where(there > 0, found >> beyond << beyond, np.uint64(0))


def _bounds(words: pa.BinaryArray) -> npt.NDArray[np.int32]:
    if not len(words):
        return np.zeros(1, np.int32)
    return np.frombuffer(words.buffers()[1], np.int32)[words.offset : words.offset + len(words) + 1]
