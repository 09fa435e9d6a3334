"""Note of a partition's leaders: what a store that is closed keeps, so that nobody scans its rows when it is opened again. Pure."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa

from tables.model.rows import StoreState, encode_state
from tables.top.leaders import Leaders, PartitionLeaders


class _Note(msgspec.Struct, frozen=True, array_like=True):
    """The leaders of the rows of a store in one state.

    Attributes:
        state: the state, as the store has it.
        most: largest number of leaders.
        words, counts: the leaders.
        bound: no other word has a larger count.
    """

    state: bytes
    most: int
    words: list[bytes]
    counts: list[int]
    bound: int


_decoder = msgspec.msgpack.Decoder(_Note)


def note_of(leaders: PartitionLeaders, state: StoreState) -> bytes:
    """Return the note of the leaders of a store that is in `state`; b"" = the leaders are not known."""
    newest = leaders.newest
    if not leaders.whole or newest.position is None or newest.position != state.exact_position:
        return b""
    words, counts, bound = newest.leaders.read()
    note = _Note(encode_state(state), newest.leaders.most, words.to_pylist(), counts.tolist(), bound)
    return msgspec.msgpack.encode(note)


def leaders_in(note: bytes, state: StoreState, most: int) -> Leaders | None:
    """Return the leaders in `note`; None = it is of another state or number of leaders, or cannot be read."""
    try:
        found = _decoder.decode(note)
    except msgspec.DecodeError:
        return None
    if found.state != encode_state(state) or found.most != most or len(found.words) != len(found.counts):
        return None
    return Leaders.of(pa.array(found.words, pa.binary()), np.array(found.counts, np.int64), found.bound, most)
