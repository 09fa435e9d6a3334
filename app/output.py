"""Standard output and standard error of a command: one way to write a line, and what happens where it cannot be written.

A character that the stream's encoding does not have becomes an escape. Standard output that cannot be written ends the command by
`OutputError`; what cannot be written to standard error is dropped, because nobody is left to be told.
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

    Attributes:
        error: the reason, as the system gives it.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def reader_is_gone(self) -> bool:
        """Whether it is a pipe or a socket that nobody reads any more."""
        return isinstance(self.error, BrokenPipeError | ConnectionResetError)


class GuardedStream:
    """A text stream that takes every character, and whose errors are told apart from all others.

    Args:
        stream: what is written to; None where the process was started without it.
        raises: whether an error ends the command, or is ignored.
    """

    def __init__(self, stream: TextIO | None, *, raises: bool) -> None:
        self._stream = stream
        self._raises = raises

    @property
    def encoding(self) -> str:
        """Name of the stream's encoding."""
        return (self._stream and self._stream.encoding) or "utf-8"

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write all of `text`; what cannot be encoded as escapes."""
        if self._stream is not None:
            with self._errors():
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        """Let the reader have all that was written."""
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
    """Guard `sys.stdout` and `sys.stderr`, and write out at the end what is still in a buffer.

    Raises:
        OutputError: standard output cannot be written; nothing will be tried again when the process ends.
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
    """One line to standard output; what would act on a terminal is escaped, a line end too."""
    sys.stdout.write(f"{printable(line)}\n")


def say_json(value: Any) -> None:
    """One line of JSON to standard output, readable at once by whoever waits for it; `value` may have dataclasses and structs."""
    import msgspec

    plain = msgspec.to_builtins(value, str_keys=True)
    sys.stdout.write(json_text(plain, ascii_only=not holds_unicode(sys.stdout)) + "\n")
    sys.stdout.flush()


def say_error(error: WordcountError | str) -> None:
    """One line to standard error: `wordcount: what is wrong; what helps`. Notes of an error follow, indented."""
    sys.stderr.write(f"wordcount: {printable(str(error))}\n")
    for note in getattr(error, "__notes__", ()):
        sys.stderr.write("".join(f"  {printable(line)}\n" for line in note.splitlines()))
    sys.stderr.flush()


def holds_unicode(stream: TextIO) -> bool:
    """Whether every character can be written to it."""
    return (stream.encoding or "utf-8").lower().startswith("utf")
