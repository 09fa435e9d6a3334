"""Note of a partition's leaders: what a store that is closed keeps, so that nobody scans its rows when it is opened again. Pure."""

from __future__ import annotations

import hashlib

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


_DIGEST_BYTES = 16
_decoder = msgspec.msgpack.Decoder(_Note)


def note_of(leaders: PartitionLeaders, state: StoreState) -> bytes:
    """Return the note of the leaders of a store that is in `state`; b"" = the leaders are not known."""
    known = leaders.known
    if known is None or known.position is None or known.position != state.exact_position:
        return b""
    words, counts, bound = known.leaders.read()
    note = _Note(encode_state(state), known.leaders.most, words.to_pylist(), counts.tolist(), bound)
    content = msgspec.msgpack.encode(note)
    return _digest(content) + content


def leaders_in(note: bytes, state: StoreState, most: int) -> Leaders | None:
    """Return the leaders in `note`; None = it is damaged, or of another state or number of leaders."""
    digest, content = note[:_DIGEST_BYTES], note[_DIGEST_BYTES:]
    if digest != _digest(content):
        return None
    try:
        found = _decoder.decode(content)
    except msgspec.DecodeError:
        return None
    if found.state != encode_state(state) or found.most != most:
        return None
    return Leaders.of(pa.array(found.words, pa.binary()), np.array(found.counts, np.int64), found.bound, most)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
