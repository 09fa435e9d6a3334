"""Arrow arrays of byte strings as numpy arrays: words are sorted and looked up, and rows decoded, without a Python step per value.

No value of such an array is null, and no array is larger than 2 GiB.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.model.records import Int64Array

UInt64Array = npt.NDArray[np.uint64]

_CHUNK_BYTES = 8


def lengths(values: pa.BinaryArray) -> Int64Array:
    """Return the length of each value in bytes."""
    return np.diff(_bounds(values)).astype(np.int64)


def joined(values: pa.BinaryArray) -> npt.NDArray[np.uint8]:
    """Return all bytes, value after value. The result shares memory with `values` and must not be written to."""
    bounds, data = _bounds(values), values.buffers()[2]
    if bounds[0] == bounds[-1]:
        return np.empty(0, np.uint8)
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]


def eight_bytes(values: pa.BinaryArray, first: int = 0) -> UInt64Array:
    """Return the bytes `[first, first + 8)` of each value as a big-endian number; missing bytes of a shorter value are zeros."""
    bounds = _bounds(values)
    there = np.clip(np.diff(bounds) - first, 0, _CHUNK_BYTES)
    if not there.any():
        return np.zeros(len(values), np.uint64)
    data = joined(values)
    padded = np.zeros(len(data) + first + _CHUNK_BYTES, np.uint8)
    padded[: len(data)] = data
    anywhere = np.ndarray(len(padded) - _CHUNK_BYTES + 1, ">u8", padded, strides=(1,))
    found = anywhere[bounds[:-1] - bounds[0] + first].astype(np.uint64)
    beyond = (8 * (_CHUNK_BYTES - there)).astype(np.uint64)
    # A shift by all 64 bits must not be relied on: a value without a byte here is set to 0 explicitly.
    return np.where(there > 0, found >> beyond << beyond, np.uint64(0))


def _bounds(values: pa.BinaryArray) -> npt.NDArray[np.int32]:
    """Return where each value begins in the data buffer, and where the last value ends."""
    if not len(values):
        return np.zeros(1, np.int32)
    return np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
