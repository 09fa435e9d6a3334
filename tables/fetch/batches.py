"""Parsing of Kafka's record batches in bounded memory: a large batch is unpacked in parts.

A batch of usual size is unpacked whole and parsed by aiokafka's C code (0.1 µs a record). A larger batch, and a compressed batch of a
former message format, is parsed by this module record by record (2 µs a record), and a value that is too long is passed over without
being kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from tables.fetch.byte_stream import ByteStream
from tables.fetch.id_headers import HEADER_NAME, checked_id, may_have_ids
from tables.fetch.unpacking import CODEC_MASK, NONE, UnpackError, pieces, unpack_into
from tables.model.record_ids import MOST_ID_BYTES

WHOLE_BYTES = 16 << 20
WHOLE_RECORDS = 1 << 20
"""Largest unpacked size and number of records of a batch that is unpacked whole; producers make batches of 16 kB to 1 MiB."""

PAUSE_RECORDS = 1 << 14
"""Records that are passed over between two pauses (10 to 50 ms), so that the consumer can do other work, like `PAUSE_BYTES`."""

_HEADER_BYTES: Final = 1024
"""Space for the header of a Kafka batch, which is smaller."""

_FRAME: Final = struct.Struct(">qi")
_FRAME_BYTES: Final = _FRAME.size
_FRAME_LENGTH: Final = struct.Struct(">8xi")
_MAGIC_OFFSET: Final = 16
_SHORTEST_FRAME: Final = 26
_V2_BYTES: Final = 61
"""Length of the header of a batch of message format 2."""
_V2_ATTRIBUTES: Final = 22
"""Place of the byte that names the codec, in a batch of message format 2."""
_V2_TIMES: Final = struct.Struct(">27xqq")
"""Base time, to which each record states its difference, and largest time. Compaction may set another base than the first time."""
_V2_COUNT: Final = struct.Struct(">57xi")
_APPEND_TIME: Final = 0x08
"""Attribute of a batch whose records all have the time at which the broker appended them, in place of their own times."""
_LEGACY_HEADS: Final = (struct.Struct(">qiIbb"), struct.Struct(">qiIbbq"))
_LENGTH: Final = struct.Struct(">i")


class Record(NamedTuple):
    """A record of a batch that was parsed in parts.

    Attributes:
        offset: offset of the record.
        key: None = the record has no key, or the key was passed over.
        value: None = the record has no value, or the value was passed over.
        passed_bytes: length in bytes of a value that was passed over; 0 = the value was not passed over.
        time_ms: time of the record, in milliseconds since 1970; -1 = the record has no time.
        record_id: id of the record; None = it has none.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    passed_bytes: int = 0
    time_ms: int = -1
    record_id: bytes | None = None


class KafkaBatches:
    """The batches of one partition in a broker's response; takes the place of aiokafka's `MemoryRecords`.

    Args:
        data: bytes of the batches, which are not copied; the last batch may be cut off by the end of the response.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = self._end = 0
        self._go_on(0)

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        """Return whether another whole batch follows.

        True before the first batch even if the batch is cut off: brokers send the first batch whole, whatever its size, so a first
        batch that is cut off is an error.
        """
        return self._end <= len(self._data) if self._at else len(self._data) > 0

    def next_batch(self) -> KafkaBatch:
        """Return the next batch.

        Raises:
            ValueError: the bytes are not a batch, or the batch is cut off.
        """
        at, end = self._at, self._end
        if len(self._data) - at < _SHORTEST_FRAME or end > len(self._data):
            raise ValueError("the response ends within the batch")
        if end - at < _SHORTEST_FRAME:
            raise ValueError(f"a batch of {end - at} bytes is too short")
        self._go_on(end)
        return KafkaBatch(self._data[at:end])

    def _go_on(self, at: int) -> None:
        """Set the beginning of the next batch to `at`, and read the end of that batch."""
        self._at = at
        self._end = at + _FRAME_BYTES  # Stays beyond the data if the batch's length is cut off.
        if self._end <= len(self._data):
            self._end += _FRAME_LENGTH.unpack_from(self._data, at)[0]


def unpacking_space() -> memoryview:
    """Return zeroed space for the unpacked bytes of a batch; the system gives memory only for the part that is used."""
    return np.zeros(WHOLE_BYTES + _HEADER_BYTES, np.uint8).data


class Whole(NamedTuple):
    """All records of a batch that was unpacked whole.

    Attributes:
        records: iterable of objects with `offset`, `key`, `value` and `headers`; to be iterated once, before the next `whole`.
        byte_count: size of the batch in bytes, as unpacked.
        has_ids: whether a record may have an id.
    """

    records: Any
    byte_count: int
    has_ids: bool = False


class KafkaBatch:
    """One batch of any message format: the attributes that aiokafka reads of a batch, and the records.

    Args:
        frame: bytes of the batch, at least `_SHORTEST_FRAME`.

    Raises:
        ValueError: the message format is unknown.
    """

    __slots__ = (
        "_frame",
        "_parsed",
        "base_offset",
        "is_control_batch",
        "is_transactional",
        "magic",
        "next_offset",
        "producer_id",
        "validate_crc",
    )

    def __init__(self, frame: memoryview) -> None:
        self._frame = frame
        self.magic = frame[_MAGIC_OFFSET]
        match self.magic:
            case 2:
                parsed: Any = DefaultRecordBatch(frame)
                self.base_offset: int = parsed.base_offset
            case 0 | 1:
                parsed = LegacyRecordBatch(frame, self.magic)
                self.base_offset = _FRAME.unpack_from(frame)[0]
            case _:
                raise ValueError(f"message format {self.magic} is not known to Wordcount")
        self._parsed = parsed
        self.next_offset: int = parsed.next_offset
        self.is_control_batch: bool = parsed.is_control_batch
        self.is_transactional: bool = parsed.is_transactional
        self.producer_id: int | None = parsed.producer_id
        self.validate_crc: Callable[[], bool] = parsed.validate_crc

    @property
    def common_time_ms(self) -> int | None:
        """Time of every record, in milliseconds since 1970, -1 = the records have no time; None = each record has its own time."""
        if self.magic == 2:
            _, largest_ms = _V2_TIMES.unpack_from(self._frame)
            return largest_ms if self._frame[_V2_ATTRIBUTES] & _APPEND_TIME else None
        if self.magic == 0:
            return -1
        *_, attributes, time_ms = _LEGACY_HEADS[1].unpack_from(self._frame)
        return None if attributes & CODEC_MASK and not attributes & _APPEND_TIME else time_ms

    def __next__(self) -> Any:
        return next(iter(self._parsed))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parsed)

    def whole(self, target: memoryview) -> Whole | None:
        """Unpack all records together into `target`, which is overwritten; None = the batch is too large: use `parts`.

        None also if the batch cannot be decompressed; then `parts` raises the error.
        """
        frame = self._frame
        if self.magic < 2:
            return (
                Whole(self._parsed, len(frame))
                if not self._legacy_codec and len(frame) <= WHOLE_BYTES
                else None
            )
        codec = frame[_V2_ATTRIBUTES] & CODEC_MASK
        (count,) = _V2_COUNT.unpack_from(frame)
        if count > WHOLE_RECORDS:
            return None
        if codec == NONE or not count:
            if len(frame) > WHOLE_BYTES:
                return None
            return Whole(self._parsed, len(frame), may_have_ids(frame))
        unpacked = unpack_into(codec, frame[_V2_BYTES:], target[_V2_BYTES:])
        if unpacked is None:
            return None
        size = _V2_BYTES + unpacked
        target[:_V2_BYTES] = frame[:_V2_BYTES]
        target[_V2_ATTRIBUTES] &= ~CODEC_MASK & 0xFF
        return Whole(DefaultRecordBatch(target[:size]), size, may_have_ids(target[:size]))

    def parts(self, start: int, most_bytes: int, *, with_keys: bool = False) -> Iterator[Record | None]:
        """Yield the records from offset `start` on, one by one; yield None as a pause while many bytes or records are passed over.

        Args:
            start: offset of the first record wanted, inclusive.
            most_bytes: longest value, and longest key, that is kept, in bytes, inclusive; longer ones are passed over.
            with_keys: whether keys are kept at all.

        Raises:
            UnpackError, ValueError: the batch cannot be decoded.
        """
        if self.magic == 2:
            stream = ByteStream(pieces(self._frame[_V2_ATTRIBUTES] & CODEC_MASK, self._frame[_V2_BYTES:]))
            yield from self._records(stream, start, most_bytes if with_keys else -1, most_bytes)
        else:
            yield from self._legacy_records(start, most_bytes if with_keys else -1, most_bytes)

    def _records(
        self, stream: ByteStream, start: int, most_key_bytes: int, most_bytes: int
    ) -> Generator[Record | None]:
        base_ms, common_ms = _V2_TIMES.unpack_from(self._frame)[0], self.common_time_ms
        for number in range(_V2_COUNT.unpack_from(self._frame)[0]):
            end = stream.varint()
            end += stream.position
            stream.take(1)
            since_base_ms = stream.varint()
            offset = self.base_offset + stream.varint()
            wanted = offset >= start
            key, _ = yield from _field(stream, stream.varint(), end, most_key_bytes if wanted else -1)
            value, passed = yield from _field(stream, stream.varint(), end, most_bytes if wanted else -1)
            record_id = (yield from _id_in_headers(stream, end)) if wanted else None
            yield from stream.passed(end - stream.position)
            if wanted:
                time_ms = _int64(base_ms + since_base_ms) if common_ms is None else common_ms
                yield Record(offset, key, value, passed, time_ms, record_id)
            elif not number % PAUSE_RECORDS:
                yield None
        if not stream.has_ended():
            raise ValueError("there are bytes after the last record")

    @property
    def _legacy_codec(self) -> int:
        return int(_LEGACY_HEADS[0].unpack_from(self._frame)[4]) & CODEC_MASK

    def _legacy_records(self, start: int, most_key_bytes: int, most_bytes: int) -> Generator[Record | None]:
        if not (codec := self._legacy_codec):
            stream = ByteStream(pieces(NONE, self._frame))
            record = yield from _legacy_record(stream, self.magic, start, most_key_bytes, most_bytes)
            if record.offset >= start:
                yield record
            return
        head, frame = _LEGACY_HEADS[self.magic].size, self._frame
        (key_bytes,) = _LENGTH.unpack_from(frame, head)
        at = head + _LENGTH.size + max(0, key_bytes)
        (value_bytes,) = _LENGTH.unpack_from(frame, at)
        packed = frame[at + _LENGTH.size : at + _LENGTH.size + value_bytes]
        if codec == 3 and self.magic == 0:
            raise UnpackError("lz4 in message format 0 has other checksums and is not supported")
        shift, common_ms = 0, self.common_time_ms
        if self.magic:
            # Offsets inside count from the first record; the batch itself has the offset of its last record.
            last, stream = 0, ByteStream(pieces(codec, packed))
            while not stream.has_ended():
                record = yield from _legacy_record(stream, self.magic, 0, -1, -1)
                last = record.offset
            shift = self.base_offset - last
        stream = ByteStream(pieces(codec, packed))
        while not stream.has_ended():
            record = yield from _legacy_record(stream, self.magic, start - shift, most_key_bytes, most_bytes)
            # Few records are below `start`, so no pause is needed: a message of these formats is one request of a producer at most.
            if (offset := record.offset + shift) >= start:
                time_ms = record.time_ms if common_ms is None else common_ms
                yield record._replace(offset=offset, time_ms=time_ms)


def _id_in_headers(stream: ByteStream, end: int) -> Generator[None, None, bytes | None]:
    """Return the id of a record of message format 2 that ends at `end`, of which only the headers are still to be read."""
    found: bytes | None = None
    for number in range(1, stream.varint() + 1):
        name, _ = yield from _field(stream, stream.varint(), end, len(HEADER_NAME))
        value, _ = yield from _field(stream, stream.varint(), end, MOST_ID_BYTES)
        if name == HEADER_NAME:
            found = value
        if not number % PAUSE_RECORDS:
            yield
    return checked_id(found)


def _int64(number: int) -> int:
    """Return `number` as it wraps around in 64 bits: so do aiokafka's C code and other clients where two wrong times are added."""
    return number if -(1 << 63) <= number < 1 << 63 else (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _legacy_record(
    stream: ByteStream, magic: int, start: int, most_key_bytes: int, most_bytes: int
) -> Generator[None, None, Record]:
    head = _LEGACY_HEADS[magic]
    offset, size, _, found, attributes, *time_ms = head.unpack(stream.take(head.size))
    end = stream.position - head.size + _FRAME.size + size
    if found != magic or attributes & CODEC_MASK:
        raise ValueError("a compressed message contains a compressed message, or a message of another format")
    wanted = offset >= start
    (length,) = _LENGTH.unpack(stream.take(_LENGTH.size))
    key, _ = yield from _field(stream, length, end, most_key_bytes if wanted else -1)
    (length,) = _LENGTH.unpack(stream.take(_LENGTH.size))
    value, passed = yield from _field(stream, length, end, most_bytes if wanted else -1)
    yield from stream.passed(end - stream.position)
    return Record(offset, key, value, passed, *time_ms)


def _field(
    stream: ByteStream, length: int, end: int, most_bytes: int
) -> Generator[None, None, tuple[bytes | None, int]]:
    """Return (bytes of the field, 0), or (None, length) of a field longer than `most_bytes`, which is passed over.

    A negative length means that the field is null: (None, 0).
    """
    if length < 0:
        return None, 0
    if length > end - stream.position:
        raise ValueError("a record ends within a field")
    if length <= most_bytes:
        return stream.take(length), 0
    yield from stream.passed(length)
    return None, length
