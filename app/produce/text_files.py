"""Text files as blocks of lines: plain, gzip or Zstandard files, or standard input, never a whole file in memory."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tables.errors import BadRequestError, ConfigurationError

STDIN = "-"

_READ_BYTES = 262_144
# Smaller than `_READ_BYTES`, because the text that one read of a well compressed file unpacks to has to fit into memory.
_READ_COMPRESSED_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive lines of one file, without their line ends.

    Attributes:
        source: name of the file for messages.
        first_line: line number of the first line in this block; the first line of the file has number 1.
        lines: the lines, at least one.
        times_ms: the time of each line as it is sent, in milliseconds since 1970, >= 0; None = the time of sending.
    """

    source: str
    first_line: int
    lines: Sequence[bytes]
    times_ms: Sequence[int] | None = None

    def part(self, start: int, end: int) -> LineBlock:
        """Return the lines with the indices from `start`, inclusive, to `end`, exclusive, as a block."""
        times_ms = None if self.times_ms is None else self.times_ms[start:end]
        return LineBlock(self.source, self.first_line + start, self.lines[start:end], times_ms)

    def too_long(self, index: int, longest_bytes: int) -> BadRequestError:
        """Return the error for the line at `index`, which is longer than `longest_bytes`."""
        return BadRequestError(
            f"{self.source}, line {self.first_line + index:,} is longer than {longest_bytes:,} bytes, "
            "more than brokers accept",
            "split or remove the line; the lines before it were sent",
        )


class TextFiles:
    """Files read one after the other; "-" is standard input.

    Args:
        names: paths, or "-"; a file is read as gzip or Zstandard if its path ends in `.gz` or `.zst`.
        times: how often all files are read, >= 1.
        longest_bytes: reading stops after an unfinished line that has more bytes than this bound; the caller has to refuse that line.
            None = no bound.

    Raises:
        ConfigurationError: a file is missing, a folder or unreadable, or standard input would be read twice.
    """

    def __init__(self, names: Sequence[str], *, times: int = 1, longest_bytes: int | None = None) -> None:
        if STDIN in names and (times > 1 or names.count(STDIN) > 1):
            raise ConfigurationError(
                "standard input can be read only once", 'give "-" once and without --loop, or name files'
            )
        for name in names:
            _check_readable(name)
        self._names = names
        self._times = times
        self._longest_bytes = longest_bytes
        self.bytes_read = 0
        """Bytes read so far, as stored: of a compressed file the compressed bytes."""

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all files together, as stored, times `times`; None if the size of a file is not known, for example of a pipe."""
        if not all(Path(name).is_file() for name in self._names):
            return None
        return sum(Path(name).stat().st_size for name in self._names) * self._times

    def blocks(self) -> Iterator[LineBlock]:
        """Yield the lines of all files. Each step waits for one line and for no further line, so that a slow pipe yields small blocks.

        Raises:
            ConfigurationError: a file cannot be read to its end.
        """
        for _ in range(self._times):
            for name in self._names:
                yield from self._blocks_of(name)

    def _blocks_of(self, name: str) -> Iterator[LineBlock]:
        source = "standard input" if name == STDIN else name
        line_number = 1
        try:
            # `sys.stdin.buffer` is not used: Python aborts if a thread still waits in that buffer when the process ends.
            file = io.FileIO(0 if name == STDIN else name, closefd=name != STDIN)
        except OSError as error:
            raise ConfigurationError(
                f"{source} cannot be read ({error.strerror})", "name files that can be read"
            ) from None
        with file:
            try:
                for lines in split_lines(self._reader(name, file), self._longest_bytes):
                    yield LineBlock(source, line_number, lines)
                    line_number += len(lines)
            except (OSError, EOFError, zlib.error) as error:
                raise ConfigurationError(
                    f"{source} cannot be read beyond line {line_number - 1} ({error})",
                    "check that the file is complete and has the format that its suffix names",
                ) from None

    def _reader(self, name: str, file: io.FileIO) -> Callable[[], bytes]:
        if name.endswith(".gz"):
            unpacked = gzip.GzipFile(fileobj=_Metered(file, self._count))
            return lambda: unpacked.read1(_READ_BYTES)
        if name.endswith(".zst"):
            return _zstandard_reader(lambda: self._count(file.read(_READ_COMPRESSED_BYTES)))
        return lambda: self._count(file.read(_READ_BYTES))

    def _count(self, data: bytes) -> bytes:
        self.bytes_read += len(data)
        return data


def split_lines(read: Callable[[], bytes], longest_bytes: int | None = None) -> Iterator[list[bytes]]:
    r"""Yield lists of the lines that `read` has completed, as soon as `read` returns.

    A line ends with \n or \r\n, which are not part of the line. The last line needs no line end; a \r alone ends no line.

    Args:
        read: waits for bytes and returns them; `b""` is the end.
        longest_bytes: as for `TextFiles`.
    """
    unfinished: list[bytes] = []
    unfinished_bytes = 0
    while data := read():
        head, end, tail = data.rpartition(b"\n")
        if end:
            whole = b"".join([*unfinished, head])
            lines = whole.split(b"\n")
            yield [line.removesuffix(b"\r") for line in lines] if b"\r" in whole else lines
            unfinished, unfinished_bytes = [], 0
        if tail:
            unfinished.append(tail)
            unfinished_bytes += len(tail)
        if longest_bytes is not None and unfinished_bytes > longest_bytes:
            break
    if unfinished:
        yield [b"".join(unfinished)]


class _Metered(io.RawIOBase):
    """A readable file that passes each piece it has read to `count`.

    Args:
        file: the file that is read.
        count: receives the bytes of each read, and returns them.
    """

    def __init__(self, file: io.FileIO, count: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._file = file
        self._count = count

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._count(self._file.read(size))


def _zstandard_reader(read: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return a reader that unpacks all frames of a Zstandard file.

    Unlike the reader of package zstandard, this reader raises EOFError if the file ends within a frame.
    """
    import zstandard

    def unpacked() -> Iterator[bytes]:
        frame = zstandard.ZstdDecompressor().decompressobj()
        begun = False
        try:
            while data := read():
                while data:
                    begun = True
                    yield frame.decompress(data)
                    if not frame.eof:
                        break
                    data = frame.unused_data
                    frame = zstandard.ZstdDecompressor().decompressobj()
                    begun = False
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from None
        if begun:
            raise EOFError("compressed file ended before the end of a frame")

    pieces = unpacked()
    return lambda: next(filter(None, pieces), b"")


def _check_readable(name: str) -> None:
    if name == STDIN:
        return
    path = Path(name)
    if not path.exists():
        raise ConfigurationError(f'"{name}" does not exist', 'name existing files, or "-" for standard input')
    if path.is_dir():
        raise ConfigurationError(f'"{name}" is a folder', "name the files in it")
    if not os.access(path, os.R_OK):
        raise ConfigurationError(f'"{name}" may not be read by this user', f'try: chmod +r "{name}"')
