"""Standard output and standard error of a command: how lines are written, and what happens if they cannot be written.

A character that the stream's encoding lacks becomes an escape. If standard output cannot be written, `OutputError` ends the command.
Text that cannot be written to standard error is dropped, because there is no other place for errors.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from app.printable import json_text, printable
from tables.errors import WordcountError


class OutputError(Exception):
    """Standard output cannot be written.

    Args:
        error: the reason, as the system gives it.

    Attributes:
        error: the reason, as the system gives it.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def reader_is_gone(self) -> bool:
        """Whether standard output is a pipe or a socket whose reader has closed it."""
        return isinstance(self.error, BrokenPipeError | ConnectionResetError)


class GuardedStream:
    """A text stream that takes every character, and turns its errors into `OutputError` or ignores them.

    Args:
        stream: the stream that is written to; None if the process was started without that stream.
        raises: whether an error of the stream raises `OutputError`; otherwise the error is ignored.
    """

    def __init__(self, stream: TextIO | None, *, raises: bool) -> None:
        self._stream = stream
        self._raises = raises

    @property
    def encoding(self) -> str:
        """Name of the stream's encoding."""
        return (self._stream and self._stream.encoding) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write all of `text`, with escapes for characters that the encoding lacks; return the number of characters of `text`."""
        if self._stream is not None:
            with self._errors():
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Pass everything that was written on to the reader."""
        if self._stream is not None:
            with self._errors():
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._raises:
                raise OutputError(error) from None


@contextmanager
def guarded_output() -> Iterator[None]:
    """Guard `sys.stdout` and `sys.stderr` during the `with` block, and flush standard output at its end.

    Raises:
        OutputError: standard output cannot be written. Python will not try again to flush it when the process ends.
    """
    streams = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, GuardedStream(streams[0], raises=True))
    sys.stderr = cast(TextIO, GuardedStream(streams[1], raises=False))
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputError:
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device, not a path
            os.dup2(nothing.fileno(), streams[0].fileno())
        raise
    finally:
        sys.stdout, sys.stderr = streams


def say(line: str) -> None:
    """Write one line to standard output; characters that control a terminal are escaped, also line ends inside of `line`."""
    sys.stdout.write(f"{printable(line)}\n")


def say_json(value: Any) -> None:
    """Write `value`, which may hold dataclasses and structs, as one line of JSON to standard output, and flush."""
    import msgspec

    plain = msgspec.to_builtins(value, str_keys=True)
    sys.stdout.write(json_text(plain, ascii_only=not holds_unicode(sys.stdout)) + "\n")
    sys.stdout.flush()


def say_error(error: WordcountError | str) -> None:
    """Write one line to standard error: `wordcount: what is wrong; what helps`; then the notes of an error, indented."""
    sys.stderr.write(f"wordcount: {printable(str(error))}\n")
    for note in getattr(error, "__notes__", ()):
        sys.stderr.write("".join(f"  {printable(line)}\n" for line in note.splitlines()))
    sys.stderr.flush()


def holds_unicode(stream: TextIO) -> bool:
    """Return whether every character can be written to `stream`."""
    return (stream.encoding or "utf-8").lower().startswith("utf")
