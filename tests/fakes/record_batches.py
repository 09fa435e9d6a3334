"""Record batches in memory, as a broker would send them: of any codec and format, in transactions, and wrong ones."""

import struct
import zlib
from collections.abc import Callable, Sequence

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode
from aiokafka.record.default_records import DefaultRecordBase, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBase
from aiokafka.record.util import calc_crc32c as crc32c

_HEADER = DefaultRecordBase.HEADER_STRUCT


ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"


CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def kafka_batch(
    base: int,
    records: dict[int, bytes | None],
    next_offset: int,
    *,
    keys: Sequence[bytes] = (),
    producer_id: int = -1,
    transactional: bool = False,
    control: bool = False,
    codec: int = 0,
    times: Sequence[int] = (),
    base_ms: int | None = None,
    append_ms: int | None = None,
    most_bytes: int = 1 << 20,
) -> bytes:
    """Return a batch of `records` (offset -> value) that spans the offsets [base, next_offset).

    Args:
        base: first offset.
        records: value of each record, by its offset.
        next_offset: offset after the last offset.
        keys: keys of the records; empty = no record has a key.
        producer_id: -1 = the producer has no identity.
        transactional: whether the batch is part of a transaction.
        control: whether the batch is the end of a transaction.
        codec: number of the compression codec.
        times: time of each record, in milliseconds; empty = each has the time 0.
        base_ms: moves all times so that the first difference begins here, as compaction does with a horizon of deletion.
        append_ms: time at which a broker appended the batch, where the topic has LogAppendTime; None = the topic has CreateTime.
        most_bytes: bytes that the uncompressed batch may have.
    """
    builder = DefaultRecordBatchBuilder(2, codec, int(transactional), producer_id, 0, 0, most_bytes)
    for i, (offset, value) in enumerate(records.items()):
        time_ms = times[i] if times else 0
        assert builder.append(offset - base, time_ms, keys[i] if keys else None, value, []) is not None
    data = bytearray(builder.build())
    fields = list(_HEADER.unpack_from(data))
    fields[0] = base
    fields[5] |= DefaultRecordBase.CONTROL_MASK if control else 0
    fields[6] = next_offset - 1 - base
    if base_ms is not None:
        fields[5] |= 0x40
        fields[7] = base_ms
    if append_ms is not None:
        fields[5] |= DefaultRecordBase.TIMESTAMP_TYPE_MASK
        fields[8] = append_ms
    fields[12] = len(records)
    _HEADER.pack_into(data, 0, *fields)
    struct.pack_into(
        ">I", data, DefaultRecordBase.CRC_OFFSET, crc32c(data[DefaultRecordBase.ATTRIBUTES_OFFSET :])
    )
    return bytes(data)


def end_offset(batch: bytes) -> int:
    """Return the offset after the last offset that a batch spans."""
    fields = _HEADER.unpack_from(batch)
    return int(fields[0] + fields[6] + 1)


def plain(base: int, *values: bytes | None, codec: int = 0) -> bytes:
    return kafka_batch(
        base, {base + i: value for i, value in enumerate(values)}, base + len(values), codec=codec
    )


def end_of_transaction(base: int, producer_id: int, kind: bytes) -> bytes:
    return kafka_batch(
        base, {base: b""}, base + 1, keys=[kind], producer_id=producer_id, transactional=True, control=True
    )


UNDECODABLE = {
    "gzip": kafka_batch(0, {0: b"text " * 100}, 1, codec=1),
    "snappy": kafka_batch(0, {0: b"text " * 100}, 1, codec=2),
    "lz4": kafka_batch(0, {0: b"text " * 100}, 1, codec=3),
    "zstd": kafka_batch(0, {0: b"text " * 100}, 1, codec=4),
    "unknown codec": kafka_batch(0, {0: b"text " * 100}, 1),
    "record longer than the batch": kafka_batch(0, {0: b"text " * 100}, 1),
    "count": kafka_batch(0, {0: b"text " * 100}, 1),
    "format": plain(0, b"text"),
    "length": plain(0, b"text"),
    "cut off": plain(0, b"text"),
}


def undecodable(name: str, base: int = 0) -> bytes:
    """Return a batch with a correct checksum that no client can decode."""
    data = bytearray(UNDECODABLE[name])
    struct.pack_into(">q", data, 0, base)
    match name:
        case "unknown codec":
            data[22] |= 7
        case "record longer than the batch":
            data[61] = 0x7F
        case "count":
            struct.pack_into(">i", data, 57, 50)
        case "format":
            data[16] = 9
        case "length":
            struct.pack_into(">i", data, 8, -1)
        case "cut off":
            return bytes(data[:-3])
        case _:
            data[65:75] = b"?" * 10
    body = data[DefaultRecordBase.ATTRIBUTES_OFFSET :]
    struct.pack_into(">I", data, DefaultRecordBase.CRC_OFFSET, crc32c(body))
    return bytes(data)


_LEGACY: dict[int, Callable[[bytes], bytes]] = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode}


def message(
    magic: int,
    offset: int,
    value: bytes | None,
    codec: int = 0,
    key: bytes | None = None,
    time_ms: int = 0,
    *,
    append_time: bool = False,
) -> bytes:
    def field(content: bytes | None) -> bytes:
        return struct.pack(">i", -1) if content is None else struct.pack(">i", len(content)) + content

    attributes = LegacyRecordBase.TIMESTAMP_TYPE_MASK if append_time else 0
    body = (
        struct.pack(">bb", magic, codec | attributes)
        + (struct.pack(">q", time_ms) if magic else b"")
        + field(key)
        + field(value)
    )
    return struct.pack(">qiI", offset, len(body) + 4, zlib.crc32(body)) + body


def legacy(
    magic: int,
    codec: int,
    first: int,
    *values: bytes | None,
    times: Sequence[int] = (),
    append_ms: int | None = None,
) -> bytes:
    """Return a message set of a former format; compressed messages have offsets of their own since format 1.

    Args:
        magic: number of the format, 0 or 1.
        codec: number of the compression codec.
        first: offset of the first message.
        values: values of the messages.
        times: time of each message, in milliseconds; empty = each has the time 0. Format 0 has no times.
        append_ms: time at which a broker appended the messages, where the topic has LogAppendTime; None = the topic has CreateTime.
    """
    times = times or [0] * len(values)
    append_time = append_ms is not None
    if not codec:
        stated = times if append_ms is None else [append_ms] * len(values)
        return b"".join(
            message(magic, first + i, value, 0, b"k", stated[i], append_time=append_time)
            for i, value in enumerate(values)
        )
    inner = b"".join(
        message(magic, i if magic else first + i, value, 0, b"k", times[i]) for i, value in enumerate(values)
    )
    last, packed = first + len(values) - 1, _LEGACY[codec](inner)
    time_ms = max(times) if append_ms is None else append_ms
    return message(magic, last, packed, codec, time_ms=time_ms, append_time=append_time)
