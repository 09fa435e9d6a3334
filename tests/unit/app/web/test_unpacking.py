"""Bodies in gzip are unpacked the same wherever they are cut, and none takes more memory than there is room for."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.unpacking import MOST_MEMBERS, Unpacking
from tables.errors import BadRequestError

ROOM = 1 << 20


def unpacked(parts: list[bytes]) -> bytes:
    unpacking = Unpacking()
    content = b"".join([unpacking.next(part, ROOM) for part in parts])
    unpacking.check_end()
    return content


@given(
    contents=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 1500), max_size=6),
)
def test_members_are_joined_wherever_the_body_is_cut(contents: list[bytes], cuts: list[int]) -> None:
    body = b"".join(gzip.compress(content) for content in contents)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    parts = [body[start:end] for start, end in itertools.pairwise(places)]
    assert unpacked(parts) == b"".join(contents)


@given(body=st.binary(max_size=200), cut=st.integers(0, 200))
def test_what_is_not_gzip_is_refused_or_means_something(body: bytes, cut: int) -> None:
    try:
        unpacked([body[:cut], body[cut:]])
    except BadRequestError as refused:
        assert refused.message.startswith("the body cannot be unpacked")


@pytest.mark.parametrize(
    "body",
    [
        b"plain text",
        gzip.compress(b"text")[:-1],
        gzip.compress(b"text") + b"\x00",
        gzip.compress(b"text")[:-8] + b"\xff" * 8,
        zlib.compress(b"text"),
    ],
    ids=["not packed", "cut off", "something behind it", "wrong checksum", "another format"],
)
def test_a_damaged_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="the body cannot be unpacked"):
        unpacked([body])


def test_a_body_without_a_byte_has_no_content() -> None:
    assert unpacked([]) == b""


def test_a_bomb_is_unpacked_only_as_far_as_there_is_room() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(bytes(1 << 20)) for _ in range(30)]) + packer.flush()
    assert len(bomb) < 256 << 10
    tracemalloc.start()
    try:
        assert len(Unpacking().next(bomb, 1000)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_members_have_a_bound() -> None:
    assert unpacked([gzip.compress(b"x") * MOST_MEMBERS]) == b"x" * MOST_MEMBERS
    with pytest.raises(BadRequestError, match=f"more than {MOST_MEMBERS} members"):
        unpacked([gzip.compress(b"") * (MOST_MEMBERS + 1)])
