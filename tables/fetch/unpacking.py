"""Decompression of Kafka's record batches in bounded memory: a batch of 9 kB may unpack to 100 MB, and a fetch brings up to a MiB.

`unpack_into` unpacks a batch of usual size whole, into given memory. `pieces` unpacks a batch of any size, piece by piece. Both give
the same bytes as aiokafka's codecs: they use the same libraries, or Arrow's streams, which read the same frames.
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
"""Codecs, as the lowest three bits of a batch's attributes number them."""

PIECE_BYTES = 1 << 20
CODEC_MASK = 0x07

_XERIAL_HEADER: Final = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
_BLOCK_LENGTH: Final = struct.Struct(">i")
_SNAPPY_RATIO: Final = 32
"""Bound of unpacked bytes per packed byte: three bytes of a snappy block unpack to at most 64 bytes."""

_INTO: Final[dict[int, Callable[[memoryview, memoryview], int]]] = {
    GZIP: cramjam.gzip.decompress_into,
    LZ4: cramjam.lz4.decompress_into,
    ZSTD: cramjam.zstd.decompress_into,
}
_ARROW: Final = {LZ4: "lz4", ZSTD: "zstd"}


class UnpackError(Exception):
    """Compressed bytes that their codec cannot decompress."""


def unpack_into(codec: int, packed: memoryview, target: memoryview) -> int | None:
    """Unpack into `target` and return the number of bytes written.

    None = `target` may be too small, or `packed` cannot be decompressed. `pieces` unpacks the bytes or raises the error.
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
    """Yield the unpacked bytes of `packed` in pieces of at most `PIECE_BYTES`.

    A block of snappy is unpacked whole before its pieces are yielded, because the format of a block is not a stream.

    Raises:
        UnpackError: the codec is unknown, or `packed` cannot be decompressed.
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
            raise UnpackError(f"compression codec {codec} is not known to Wordcount")


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
    """Yield the blocks of the stream that Java clients write, or the single block that other clients write."""
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
    """Return the unpacked size that a snappy block states.

    Raises:
        UnpackError: the block is damaged, or states an impossible size; memory would be allocated for that size.
    """
    try:
        size = int(cramjam.snappy.decompress_raw_len(block))
    except cramjam.DecompressionError as error:
        raise UnpackError(str(error)) from error
    if size > _SNAPPY_RATIO * len(block):
        raise UnpackError(f"a snappy block of {len(block)} bytes cannot unpack to {size}")
    return size
