"""The exit codes of all processes, and the exit code of each error. docs/reference/cli.md has the same table for people.

This module imports no other module of the product at import, because `app.entry` needs an exit code before it imports the rest.
"""

from __future__ import annotations

EXIT_FAILED = 1
"""Something outside the configuration failed, and a retry may help.

`verify`: counts differ. `get`: the word does not occur. `doctor`: a check failed.
"""

EXIT_CONFIGURATION = 2
"""A setting, flag, input or right is wrong, and a person has to correct it."""

EXIT_NOT_COMPARED = 3
"""`verify` found no count that differs, but could not compare all counts."""

EXIT_DEADLINE = 70
"""The process could not stop in time. Nothing is lost: records that were not flushed are read again."""

EXIT_OUTPUT = 74
"""Standard output cannot be written."""

EXIT_STALLED = 75
"""The watchdog of a worker found that no position moves; start the worker again."""

EXIT_INTERRUPTED = 130
"""Ctrl-C ended the command."""

EXIT_READER_GONE = 141
"""The reader of standard output closed it, as in `wordcount verify | head -1`."""

EXIT_TERMINATED = 143
"""SIGTERM ended a command other than a worker; a worker that stops in order ends with 0."""


def exit_code(error: Exception) -> int:
    """Return the exit code of a process that `error` ended."""
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
