"""What the exit code of a process says, and which error ends with which. docs/reference/cli.md has the same table for people."""

from __future__ import annotations

from typing import Final

from tables.errors import BadRequestError, ConfigurationError, StalledError

EXIT_FAILED: Final = 1
"""Something outside failed: trying again may help. Of `verify`: counts differ; `get`: no such word; `doctor`: a check failed."""

EXIT_CONFIGURATION: Final = 2
"""A setting, flag, input or right is wrong: a person has to act."""

EXIT_NOT_COMPARED: Final = 3
"""`verify` could not compare everything, and what it could compare is right."""

EXIT_DEADLINE: Final = 70
"""The process could not stop in time. Nothing is lost: what was not flushed is read again."""

EXIT_OUTPUT: Final = 74
"""Standard output cannot be written."""

EXIT_STALLED: Final = 75
"""A worker whose watchdog found that nothing moves: start it again."""

EXIT_INTERRUPTED: Final = 130
"""Ended by Ctrl-C."""

EXIT_READER_GONE: Final = 141
"""Whoever read standard output went away, as in `wordcount verify | head -1`."""

EXIT_TERMINATED: Final = 143
"""Ended by SIGTERM; a worker that stops in order ends with 0."""


def exit_code(error: Exception) -> int:
    """The exit code of a process that `error` ended."""
    if isinstance(error, ConfigurationError | BadRequestError):
        return EXIT_CONFIGURATION
    return EXIT_STALLED if isinstance(error, StalledError) else EXIT_FAILED
