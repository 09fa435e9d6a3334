"""What the record batches of Kafka unpack to, in bounded memory: 9 kB may unpack to 100 MB, and a fetch brings a MiB of them.

Few bytes are unpacked at once, into memory that is there (`unpack_into`); as many as there may be, piece by piece (`pieces`). Both are
what aiokafka's codecs make of them: the same libraries, and Arrow's streams, which read the same frames.
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable, Iterator
from typing import Final

import cramjam
import pyarrow as pa

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
"""The codecs of the lowest three bits of a batch's attributes."""

PIECE_BYTES = 1 << 20
CODEC_MASK = 0x07

_XERIAL_HEADER: Final = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
_BLOCK_LENGTH: Final = struct.Struct(">i")
_SNAPPY_RATIO: Final = 32
"""No snappy block holds more than 64 bytes for three."""

_INTO: Final[dict[int, Callable[[memoryview, memoryview], int]]] = {
    GZIP: cramjam.gzip.decompress_into,
    LZ4: cramjam.lz4.decompress_into,
    ZSTD: cramjam.zstd.decompress_into,
}
_ARROW: Final = {LZ4: "lz4", ZSTD: "zstd"}


class UnpackError(Exception):
    """Bytes that are not what their codec makes."""


def unpack_into(codec: int, packed: memoryview, target: memoryview) -> int | None:
    """Unpack into `target`; returns the bytes written, or None where there may be more than it holds, or something is wrong.

    `pieces` tells which.
    """
    try:
        if codec != SNAPPY:
            return _INTO[codec](packed, target)
        size = 0
        for block in _snappy_blocks(packed):
            if length := _unpacked_bytes(block):
                size += cramjam.snappy.decompress_raw_into(block, target[size : size + length])
    except (KeyError, UnpackError, cramjam.DecompressionError):
        return None
    return size


def pieces(codec: int, packed: memoryview) -> Iterator[bytes]:
    """What `packed` unpacks to, in pieces of at most `PIECE_BYTES`; a block of snappy, which is no stream, is unpacked at once.

    Raises:
        UnpackError: the codec is unknown, or `packed` is not what it makes.
    """
    match codec:
        case 0:
            yield from _cut(packed)
        case 1:
            yield from _read(gzip.GzipFile(fileobj=io.BytesIO(packed)).read)
        case 2:
            for block in _snappy_blocks(packed):
                _unpacked_bytes(block)
                try:
                    yield from _cut(memoryview(cramjam.snappy.decompress_raw(block)))
                except cramjam.DecompressionError as error:
                    raise UnpackError(str(error)) from error
        case 3 | 4:
            with pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(packed)), _ARROW[codec]) as stream:
                yield from _read(stream.read)
        case _:
            raise UnpackError(f"compression codec {codec} is not known here")


def _read(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while True:
        try:
            piece = read(PIECE_BYTES)
        except (OSError, EOFError, gzip.zlib.error, pa.ArrowInvalid) as error:  # type: ignore[attr-defined]
            raise UnpackError(str(error)) from error
        if not piece:
            return
        yield piece


def _cut(whole: memoryview) -> Iterator[bytes]:
    for start in range(0, len(whole), PIECE_BYTES):
        yield bytes(whole[start : start + PIECE_BYTES])


def _snappy_blocks(packed: memoryview) -> Iterator[memoryview]:
    """The blocks of the stream that Java writes, or the one block that others do."""
    if packed[: len(_XERIAL_HEADER)] != _XERIAL_HEADER:
        yield packed
        return
    at = len(_XERIAL_HEADER)
    while at < len(packed):
        if at + _BLOCK_LENGTH.size > len(packed):
            raise UnpackError("a snappy stream ends within a block")
        (length,) = _BLOCK_LENGTH.unpack_from(packed, at)
        at += _BLOCK_LENGTH.size
        if length < 0 or at + length > len(packed):
            raise UnpackError("a snappy stream ends within a block")
        yield packed[at : at + length]
        at += length


def _unpacked_bytes(block: memoryview) -> int:
    """What a block of snappy says that it unpacks to. Raises UnpackError where that cannot be: memory is taken for it."""
    try:
        size = int(cramjam.snappy.decompress_raw_len(block))
    except cramjam.DecompressionError as error:
        raise UnpackError(str(error)) from error
    if size > _SNAPPY_RATIO * len(block):
        raise UnpackError(f"a snappy block of {len(block)} bytes cannot unpack to {size}")
    return size
