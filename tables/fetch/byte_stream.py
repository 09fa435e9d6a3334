"""Bytes that come in pieces, taken one field after the other: what a Kafka batch unpacks to."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import takewhile
from typing import Final

from aiokafka.record.util import decode_varint

PAUSE_BYTES = 16 << 20
"""So much is passed over at a time (10 to 50 ms): a consumer has other things to do, such as sending heartbeats."""

_LONGEST_VARINT: Final = 10


class ByteStream:
    """Bytes that come in pieces.

    Attributes:
        position: bytes taken so far.
    """

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = takewhile(len, source)
        self._buffer = b""
        self._at = 0
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ValueError where there are fewer."""
        self._need(count)
        taken = self._buffer[self._at : self._at + count]
        self._advance(count)
        return taken

    def varint(self) -> int:
        """The next number, as format 2 writes it."""
        if len(self._buffer) - self._at < _LONGEST_VARINT:
            self._fill(_LONGEST_VARINT)
        try:
            number, end = decode_varint(self._buffer, self._at)
        except IndexError:
            raise ValueError("a batch ends within a number") from None
        self._advance(end - self._at)
        return int(number)

    def passed(self, count: int) -> Generator[None]:
        """Pass over bytes; yields after each `PAUSE_BYTES` of them. Raises ValueError where there are fewer, or less than none."""
        if count < 0:
            raise ValueError("a record is longer than it says")
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
        """Whether nothing is left."""
        self._fill(1)
        return self._at == len(self._buffer)

    def _advance(self, count: int) -> None:
        self._at += count
        self.position += count

    def _need(self, count: int) -> None:
        if not self._fill(count):
            raise ValueError("a batch ends within a record")

    def _fill(self, count: int) -> bool:
        """Have `count` bytes at hand; returns whether there are so many."""
        missing = count - (len(self._buffer) - self._at)
        if missing <= 0:
            return True
        parts = [self._buffer[self._at :]]
        while missing > 0 and (piece := next(self._source, b"")):
            parts.append(piece)
            missing -= len(piece)
        self._buffer, self._at = b"".join(parts), 0
        return missing <= 0
