"""Unpacking of bodies in gzip (RFC 1952), piece by piece, never more than there is room for: no body unpacks to gigabytes."""

from __future__ import annotations

import zlib
from typing import Final

from tables.errors import BadRequestError

GZIP: Final = "gzip"
"""The name of the coding in `Content-Encoding`."""

MOST_MEMBERS: Final = 100
"""Most parts of a body that are packed each by itself, as `cat a.gz b.gz` makes them. A part without content takes 20 bytes and as
long to unpack as 10 kB of text, so that a body of nothing else would hold up the event loop."""

_WBITS: Final = 16 + zlib.MAX_WBITS


class Unpacking:
    """Unpacks one body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_WBITS)
        self._has_begun = False
        self._members = 1

    def next(self, packed: bytes, most_bytes: int) -> bytes:
        """Return what the next bytes of the body unpack to; if that is `most_bytes`, there may be more, which is lost.

        Args:
            packed: the next bytes.
            most_bytes: largest result, >= 1.

        Raises:
            BadRequestError: the body is not gzip, or has too many members.
        """
        unpacked = b""
        while packed and len(unpacked) < most_bytes:
            if self._member.eof:
                self._begin_member()
            self._has_begun = True
            try:
                unpacked += self._member.decompress(packed, most_bytes - len(unpacked))
            except zlib.error as error:
                raise _unreadable(str(error)) from None
            packed = self._member.unused_data
        return unpacked

    def check_end(self) -> None:
        """Raise BadRequestError if the body has ended before its content has. A body without any byte has no content."""
        if self._has_begun and not self._member.eof:
            raise _unreadable("it ends too early")

    def _begin_member(self) -> None:
        if self._members == MOST_MEMBERS:
            raise _unreadable(f"it has more than {MOST_MEMBERS} members")
        self._members += 1
        self._member = zlib.decompressobj(_WBITS)


def _unreadable(why: str) -> BadRequestError:
    return BadRequestError(f"the body cannot be unpacked ({why})", "send one whole gzip file")
