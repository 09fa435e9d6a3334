"""Compressed bytes, at once and in pieces."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable

import cramjam
import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode

from tables.fetch.unpacking import (
    GZIP,
    LZ4,
    NONE,
    PIECE_BYTES,
    SNAPPY,
    ZSTD,
    UnpackError,
    pieces,
    unpack_into,
)

Encode = Callable[[bytes], bytes]
CODECS = [
    pytest.param(GZIP, gzip_encode, id="gzip"),
    pytest.param(SNAPPY, snappy_encode, id="snappy-stream"),
    pytest.param(SNAPPY, lambda value: bytes(cramjam.snappy.compress_raw(value)), id="snappy"),
    pytest.param(LZ4, lz4_encode, id="lz4"),
    pytest.param(ZSTD, zstd_encode, id="zstd"),
]
VALUES = [b"", b"a", b"ab " * 1_000_000, os.urandom(100_000)]


@pytest.mark.parametrize(("codec", "encode"), CODECS)
def test_both_ways_give_the_value_and_one_way_says_where_there_is_no_room(codec: int, encode: Encode) -> None:
    for value in VALUES:
        packed, target = memoryview(encode(value)), memoryview(bytearray(4_000_000))
        assert unpack_into(codec, packed, target) == len(value)
        assert target[: len(value)] == value
        found = list(pieces(codec, packed))
        assert b"".join(found) == value
        assert all(len(piece) <= PIECE_BYTES for piece in found)
        if len(value) > 1:
            assert unpack_into(codec, packed, target[: len(value) - 1]) is None


@pytest.mark.parametrize(("codec", "encode"), CODECS)
def test_what_is_cut_off_or_something_else_is_refused(codec: int, encode: Encode) -> None:
    packed = encode(b"ab " * 100_000 + os.urandom(1000))
    for wrong in (packed[:-1], packed[: len(packed) // 2], b"something else, of some length"):
        with pytest.raises(UnpackError):
            list(pieces(codec, memoryview(wrong)))
        assert unpack_into(codec, memoryview(wrong), memoryview(bytearray(1 << 20))) is None


def test_an_unknown_codec_is_refused_and_none_is_cut() -> None:
    assert unpack_into(7, memoryview(b"a"), memoryview(bytearray(10))) is None
    with pytest.raises(UnpackError, match="codec 7 is not known"):
        list(pieces(7, memoryview(b"a")))
    assert [len(piece) for piece in pieces(NONE, memoryview(bytes(PIECE_BYTES + 1)))] == [PIECE_BYTES, 1]


def test_a_snappy_block_that_claims_more_than_it_can_hold_gets_no_memory() -> None:
    claims_gigabytes = memoryview(b"\xff\xff\xff\xff\x0f" + b"some bytes")
    tracemalloc.start()
    with pytest.raises(UnpackError, match="cannot unpack to 4294967295"):
        list(pieces(SNAPPY, claims_gigabytes))
    assert unpack_into(SNAPPY, claims_gigabytes, memoryview(bytearray(100))) is None
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
