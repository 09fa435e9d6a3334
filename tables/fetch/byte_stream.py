"""A stream of bytes that come in pieces, from which the fields of an unpacked Kafka batch are taken one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import takewhile
from typing import Final

from aiokafka.record.util import decode_varint

PAUSE_BYTES = 16 << 20
"""Bytes that are passed over between two pauses (10 to 50 ms), so that the consumer can do other work, such as heartbeats."""

_LONGEST_VARINT: Final = 10


class ByteStream:
    """Bytes that come in pieces, read field by field.

    Args:
        source: the pieces; an empty piece ends the stream.

    Attributes:
        position: bytes taken or passed over so far.
    """

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = takewhile(len, source)
        self._buffer = b""
        self._at = 0
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes. Raise ValueError if there are fewer."""
        self._need(count)
        taken = self._buffer[self._at : self._at + count]
        self._advance(count)
        return taken

    def varint(self) -> int:
        """Return the next number, encoded as message format 2 encodes numbers. Raise ValueError if the stream ends before."""
        if len(self._buffer) - self._at < _LONGEST_VARINT:
            self._fill(_LONGEST_VARINT)
        try:
            number, end = decode_varint(self._buffer, self._at)
        except IndexError:
            raise ValueError("a batch ends within a number") from None
        self._advance(end - self._at)
        return int(number)

    def passed(self, count: int) -> Generator[None]:
        """Pass over `count` bytes, and yield after each `PAUSE_BYTES`. Raise ValueError if there are fewer, or `count` < 0."""
        if count < 0:
            raise ValueError("the fields of a record are longer than the record")
        since_pause = 0
        while count:
            self._need(1)
            step = min(count, len(self._buffer) - self._at)
            self._advance(step)
            count -= step
            since_pause += step
            if since_pause >= PAUSE_BYTES:
                since_pause = 0
                yield

    def has_ended(self) -> bool:
        """Return whether no byte is left."""
        self._fill(1)
        return self._at == len(self._buffer)

    def _advance(self, count: int) -> None:
        self._at += count
        self.position += count

    def _need(self, count: int) -> None:
        if not self._fill(count):
            raise ValueError("a batch ends within a record")

    def _fill(self, count: int) -> bool:
        """Read pieces until the buffer has `count` bytes. Return False if the stream has fewer bytes left."""
        missing = count - (len(self._buffer) - self._at)
        if missing <= 0:
            return True
        parts = [self._buffer[self._at :]]
        while missing > 0 and (piece := next(self._source, b"")):
            parts.append(piece)
            missing -= len(piece)
        self._buffer, self._at = b"".join(parts), 0
        return missing <= 0
