"""What the exit code of a process says, and which error ends with which. docs/reference/cli.md has the same table for people.

Imports nothing of its own: `app.entry` needs a number before anything else is there.
"""

from __future__ import annotations

EXIT_FAILED = 1
"""Something outside failed: trying again may help. Of `verify`: counts differ; `get`: no such word; `doctor`: a check failed."""

EXIT_CONFIGURATION = 2
"""A setting, flag, input or right is wrong: a person has to act."""

EXIT_NOT_COMPARED = 3
"""`verify` could not compare everything, and what it could compare is right."""

EXIT_DEADLINE = 70
"""The process could not stop in time. Nothing is lost: what was not flushed is read again."""

EXIT_OUTPUT = 74
"""Standard output cannot be written."""

EXIT_STALLED = 75
"""A worker whose watchdog found that nothing moves: start it again."""

EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C."""

EXIT_READER_GONE = 141
"""Whoever read standard output went away, as in `wordcount verify | head -1`."""

EXIT_TERMINATED = 143
"""Ended by SIGTERM; a worker that stops in order ends with 0."""


def exit_code(error: Exception) -> int:
    """The exit code of a process that `error` ended."""
    from app.output import OutputError
    from tables.errors import BadRequestError, ConfigurationError, StalledError

    match error:
        case ConfigurationError() | BadRequestError():
            return EXIT_CONFIGURATION
        case StalledError():
            return EXIT_STALLED
        case OutputError():
            return EXIT_READER_GONE if error.reader_is_gone else EXIT_OUTPUT
        case _:
            return EXIT_FAILED
