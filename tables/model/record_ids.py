"""Ids of records: a record that was sent twice is counted once. Pure.

A record may have an id, which its sender chose (header `names.ID_HEADER`). Of the records with the same id only the first one counts;
the others are *repeats*. Which record is the first one is a function of the log alone, as no clock is asked:

* The records with an id are numbered from the beginning of the partition on, and each `span` of them are a *generation*.
* A record is a repeat if its id occurs before it in its own generation, or anywhere in the generation before. So a repeat is
  recognised if fewer than `span` records with ids are between it and the record with its id before it.

The first occurrence of an id in a generation is a row like any other (ADR 16): its key is a prefix that begins no word, the
generation, and the id; its count is the offset of that record, plus one. The row never changes. So a record that is read again after
a torn flush finds its own offset in the row, and counts; a repeat finds a smaller one, whoever wrote the row. Rows of generations
before the last two count no longer, and are removed as those of expired windows are.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from tables.model.names import END_OF_WORDS

ID_BYTE: Final = END_OF_WORDS
"""First byte of the key of the row of an id. It sorts after every word and before the rows of panes."""

MOST_ID_BYTES: Final = 64
"""Length of the longest id, in bytes. A longer one, or an empty one, is no id."""

SPAN: Final = 1 << 20
"""Records with ids of a generation, in a partition. The rows of two generations take about 100 MB."""

_GENERATION: Final = struct.Struct(">cQ")


class IdState(msgspec.Struct, frozen=True):
    """What a marker says of the ids of its partition.

    Attributes:
        records: number of the records with an id in `[origin, position)`.
        span: number of such records in a generation, > 0. It never changes once there is a record with an id.
    """

    records: int = 0
    span: int = SPAN

    def generation_of(self, number: int) -> int:
        """Return the generation of the record with an id that has `number`, counted from 0."""
        return number // self.span

    def advanced(self, records: int) -> IdState:
        """Return the state after `records` more records with an id."""
        return IdState(self.records + records, self.span)

    @property
    def dead_range(self) -> tuple[bytes, bytes]:
        """First key, inclusive, and last key, exclusive, of the rows that count no longer."""
        return ID_BYTE, generation_prefix(max(0, self.generation_of(self.records) - 1))


def generation_prefix(generation: int) -> bytes:
    """Return what the keys of the rows of a generation begin with; the id follows."""
    return _GENERATION.pack(ID_BYTE, generation)


def id_key(generation: int, record_id: bytes) -> bytes:
    """Return the key of the row of an id in a generation."""
    return _GENERATION.pack(ID_BYTE, generation) + record_id


def is_id_key(key: bytes) -> bool:
    """Return whether `key` is the key of the row of an id."""
    return key[:1] == ID_BYTE
