"""Leaders of a pane: its most frequent words with exact counts, a bound of all others, and the note that keeps them. Pure.

A closed pane takes no more records, so that its leaders hold for ever. The worker that closes a pane has all its counts in memory, and
leaves a note of the leaders in the store, with the flush that closes the pane. Later nobody has to go through the rows of the pane to
find its most frequent words. A note is in no changelog: where there is none, the rows are scanned.

Which records a pane takes follows from the log and from the rules of the windows. So a note holds for a reader who finds the pane
closed by the very rules that the note names (`Closing`): rules that were changed may have opened the pane again.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from tables.model.byte_arrays import joined, lengths
from tables.model.records import Int64Array
from tables.model.windows import Pane, SizeRule, WindowState

MOST_PANE_LEADERS = 4096
"""Leaders of one pane: a note of words of eight bytes takes 80 kB."""


class PaneLeaders(NamedTuple):
    """The most frequent words of a pane.

    Attributes:
        words: the words, each once.
        counts: their counts, descending.
        bound: no other word of the pane has a larger count; 0 = there is no other word.
    """

    words: pa.BinaryArray
    counts: Int64Array
    bound: int

    @property
    def nbytes(self) -> int:
        """Bytes of both columns."""
        return int(self.words.nbytes + self.counts.nbytes)

    def first(self, most: int) -> PaneLeaders:
        """Return the first `most` of these leaders."""
        if most >= len(self.counts):
            return self
        return PaneLeaders(self.words[:most], self.counts[:most], max(self.bound, int(self.counts[most])))


class Closing(msgspec.Struct, frozen=True, array_like=True):
    """The rules by which a pane is closed.

    Attributes:
        ruled_from: source offset from which on the rules hold, see `WindowState`.
        since: source offset from which on the size is counted, see `CountedSize`.
        rule: rule of the size.
    """

    ruled_from: int
    since: int
    rule: SizeRule


class _Note(msgspec.Struct, frozen=True, array_like=True):
    """Leaders as the store keeps them: counts and lengths as bytes of int64, words one after the other."""

    closing: Closing
    bound: int
    counts: bytes
    lengths: bytes
    words: bytes


_decoder = msgspec.msgpack.Decoder(_Note)
_COUNT = np.dtype("<i8")
_LENGTH = np.dtype("<i4")


def closing_of(windows: WindowState, pane: Pane) -> Closing | None:
    """Return the rules by which `pane` is closed in `windows`; None = it may take records still, or is not counted or kept."""
    size = windows.size(pane.size_s)
    if size is None or pane.epoch is not None or not windows.is_kept(pane):
        return None
    if not size.rule.is_closed(pane.start_s, windows.stream_ms):
        return None
    return Closing(windows.ruled_from, size.since, size.rule)


def leading_places(counts: Int64Array, most: int) -> tuple[Int64Array, int]:
    """Return the places of the `most` largest counts in descending order, and the largest count at the other places, 0 if none."""
    if len(counts) <= most:
        return np.argsort(-counts, kind="stable"), 0
    places = np.argpartition(-counts, most)[: most + 1]
    places = places[np.argsort(-counts[places], kind="stable")]
    return places[:most], int(counts[places[most]])


def pane_leaders(words: pa.BinaryArray, counts: Int64Array, bound: int = 0) -> PaneLeaders:
    """Return the leaders among `words`, which are distinct, with `counts`; no word that is not there has a count above `bound`."""
    places, largest = leading_places(counts, MOST_PANE_LEADERS)
    return PaneLeaders(words.take(pa.array(places)), counts[places], max(bound, largest))


def note_of(leaders: PaneLeaders, closing: Closing) -> bytes:
    """Return the note of the leaders of a closed pane."""
    return msgspec.msgpack.encode(
        _Note(
            closing,
            leaders.bound,
            leaders.counts.astype(_COUNT).tobytes(),
            lengths(leaders.words).astype(_LENGTH).tobytes(),
            joined(leaders.words).tobytes(),
        )
    )


def leaders_in(note: bytes | None, closing: Closing) -> PaneLeaders | None:
    """Return the leaders in a note; None = there is no note, it cannot be read, or the pane was closed by other rules."""
    if not note:
        return None
    try:
        found = _decoder.decode(note)
    except msgspec.DecodeError:
        return None
    if found.closing != closing:
        return None
    counts = np.frombuffer(found.counts, _COUNT).astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(np.frombuffer(found.lengths, _LENGTH))]).astype(np.int32)
    if len(bounds) != len(counts) + 1 or bounds[-1] != len(found.words):
        return None
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(found.words)]
    return PaneLeaders(pa.Array.from_buffers(pa.binary(), len(counts), buffers), counts, found.bound)
