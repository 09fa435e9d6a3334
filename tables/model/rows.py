"""Row, marker and state codecs. Pure.

A row says: this word occurs `count` times in the offsets [origin, upto) of its source partition. It stays true for ever, so that
applying rows is "keep the one with the larger upto": idempotent and free of order (a grow-only counter, Shapiro et al. 2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tables.errors import InexactError
from tables.model.byte_arrays import joined, lengths
from tables.model.names import FORMAT_VERSION, ROW_BYTES
from tables.model.records import Int64Array
from tables.model.tally import Totals

RowArray = npt.NDArray[np.int64]
"""int64 of shape (n, 2): column 0 the count, column 1 the upto."""

_BIG_ENDIAN = np.dtype(">i8")
_OPAQUE_ROW = np.dtype(f"V{ROW_BYTES}")


class Owner(NamedTuple):
    """Whose counts a changelog has: those of consumer group `group` over the input `topic`."""

    group: str
    topic: str


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """End of a flush in the changelog: all rows of all flushes up to `position` precede it.

    Attributes:
        version: `schema.FORMAT_VERSION` of the writer.
        topic: input topic.
        group: consumer group; "" = not known: written before markers named it.
        topic_id: its id; "" = not known.
        changelog_id: id of the changelog topic that it was written to; "" = not known.
        profile: identity of the tokenizer; counts of two tokenizers never mix.
        origin: first source offset that was counted, inclusive.
        position: next source offset to count.
        prior_position: largest position of any earlier marker, where that is larger than `position`: readers may have seen it, so that
            it is never forgotten. Named `ahead` in the changelog.
        records, counted, words, skipped, dead_lettered, dropped_words: `Totals` of [origin, position).
    """

    topic: str
    profile: str
    origin: int
    position: int
    group: str = ""
    topic_id: str = ""
    changelog_id: str = ""
    version: int = FORMAT_VERSION
    prior_position: int = msgspec.field(default=0, name="ahead")
    records: int = 0
    counted: int = 0
    words: int = 0
    skipped: Mapping[str, int] = {}
    dead_lettered: Mapping[str, int] = {}
    dropped_words: Mapping[str, int] = {}

    @property
    def totals(self) -> Totals:
        return Totals(
            self.records, self.counted, self.words, self.skipped, self.dead_lettered, self.dropped_words
        )

    @property
    def furthest_position(self) -> int:
        """The largest position of this marker and of those before it."""
        return max(self.position, self.prior_position)

    @property
    def flaw(self) -> str:
        """What cannot be true of a marker, "" where nothing is wrong with it."""
        accounted = self.counted + sum(self.skipped.values()) + sum(self.dead_lettered.values())
        if not 0 <= self.origin <= self.position:
            return f"it counts offsets {self.origin} to {self.position}"
        if self.records != accounted:
            return f"it accounts for {accounted} of {self.records} records"
        return ""

    def advanced(self, position: int, totals: Totals) -> Marker:
        """The marker after a flush up to `position` that brought `totals`."""
        after = self.totals + totals
        return msgspec.structs.replace(
            self,
            position=position,
            prior_position=self.prior_position if self.prior_position > position else 0,
            records=after.records,
            counted=after.counted,
            words=after.words,
            skipped=after.skipped,
            dead_lettered=after.dead_lettered,
            dropped_words=after.dropped_words,
        )


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """What a store knows beside its rows; written atomically with them.

    Attributes:
        marker: of the flush that the rows are at; None before the first one.
        examined: changelog offset up to which records have been examined, exclusive. Named `changelog_next` on disk.
        max_upto: largest `upto` of any row; beyond the marker's position only after a torn flush. Named `ahead` on disk.
        changelog_id: id of the changelog that rows without a marker are of; "" = the marker has it, or not known.
    """

    marker: Marker | None
    examined: int = msgspec.field(name="changelog_next")
    max_upto: int = msgspec.field(name="ahead")
    changelog_id: str = ""

    @property
    def position(self) -> int:
        return self.marker.position if self.marker else 0

    @property
    def exact_position(self) -> int | None:
        """The position where the rows are those of exactly `[origin, position)`, None where some are ahead of it."""
        return self.position if self.position >= self.max_upto else None

    @property
    def totals(self) -> Totals:
        return self.marker.totals if self.marker else Totals()


_encoder = msgspec.json.Encoder()
_marker_decoder = msgspec.json.Decoder(Marker)
_state_decoder = msgspec.json.Decoder(StoreState)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises: the second for text that is not UTF-8, the third for a document that is nested too deeply."""


def encode_marker(marker: Marker) -> bytes:
    assert not marker.flaw, marker.flaw
    return _encoder.encode(marker)


def decode_marker(value: bytes) -> Marker:
    """Raises InexactError where `value` is no marker of this version, or says what cannot be true."""
    try:
        marker = _marker_decoder.decode(value)
    except _UNREADABLE as error:
        raise InexactError(
            f"the changelog holds a marker that cannot be read ({error})",
            "find out what else writes to the changelog topic",
        ) from error
    if marker.version != FORMAT_VERSION:
        raise InexactError(
            f"the changelog was written in format {marker.version}, this program reads {FORMAT_VERSION}",
            "run the version that wrote it, or count again with this one: wordcount reset",
        )
    if marker.flaw:
        raise InexactError(
            f"the changelog holds a marker that cannot be true: {marker.flaw}",
            "find out what else writes to the changelog topic",
        )
    return marker


def encode_state(state: StoreState) -> bytes:
    assert state.marker is None or not state.marker.flaw, state.marker.flaw
    return _encoder.encode(state)


def decode_state(value: bytes) -> StoreState | None:
    """The state, or None where it is unreadable, untrue or of another version: such a store is rebuilt from the changelog."""
    try:
        state = _state_decoder.decode(value)
    except _UNREADABLE:
        return None
    marker = state.marker
    return state if marker is None or (marker.version == FORMAT_VERSION and not marker.flaw) else None


def pack_rows(counts: Int64Array, upto: int | Int64Array) -> list[bytes]:
    """`counts` as row values, with one `upto` for all or one for each (measured: 77 ns a row, struct.pack 190)."""
    rows = np.empty((len(counts), 2), _BIG_ENDIAN)
    rows[:, 0] = counts
    rows[:, 1] = upto
    packed: list[bytes] = rows.view(_OPAQUE_ROW).ravel().tolist()
    return packed


def pack_row(count: int, upto: int) -> bytes:
    return count.to_bytes(8, "big", signed=True) + upto.to_bytes(8, "big", signed=True)


def unpack_row(value: bytes) -> tuple[int, int]:
    """(count, upto). Raises InexactError where `value` is not a row."""
    if len(value) != ROW_BYTES:
        raise InexactError(
            f"a row of {len(value)} bytes instead of {ROW_BYTES}",
            "find out what else writes to the changelog topic",
        )
    return int.from_bytes(value[:8], "big", signed=True), int.from_bytes(value[8:], "big", signed=True)


def unpack_rows(values: pa.BinaryArray | Sequence[bytes]) -> RowArray:
    """All row values at once. Raises InexactError where one is not a row."""
    column = values if isinstance(values, pa.BinaryArray) else pa.array(values, pa.binary())
    if (lengths(column) != ROW_BYTES).any():
        raise InexactError(
            f"a changelog batch of {len(column)} records holds a value that is not {ROW_BYTES} bytes long",
            "find out what else writes to the changelog topic",
        )
    return joined(column).view(_BIG_ENDIAN).reshape(-1, 2).astype(np.int64)
