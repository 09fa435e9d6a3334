"""Errors of Wordcount: one root class, and one subclass per cause, which says who can mend it and whether a retry helps.

The message names the setting, topic, partition or file; the `remedy` says what to do. `app.web.problems` maps errors to HTTP status
codes, `app.exit_codes` maps errors to exit codes.
"""

from __future__ import annotations

from pathlib import Path


class WordcountError(Exception):
    """Root of all errors that Wordcount raises on purpose.

    Args:
        message: what is wrong, with the name of the setting, topic, partition or file.
        remedy: what the operator can do; "" = only a retry helps.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class ConfigurationError(WordcountError):
    """A setting, a flag, a right or the environment is wrong. The operator has to mend it; a retry does not help."""


class BadRequestError(WordcountError):
    """A query asks for something that cannot be answered. The caller has to mend the query."""


class NotReadyError(WordcountError):
    """The answer is not available yet. A later retry helps."""


class OverloadedError(WordcountError):
    """There are more queries than can be answered. A later retry helps."""


class QueryTimeoutError(WordcountError):
    """An answer takes longer than the time budget of a query. A retry or a larger budget helps."""


class BrokerUnavailableError(WordcountError):
    """No broker answers at the configured address. A retry helps, or another address."""


class StateLockedError(WordcountError):
    """Another process uses the state folder."""


class StoreCorruptedError(WordcountError):
    """A store is damaged. The process throws the store away and rebuilds it from the changelog.

    Args:
        message, remedy: see `WordcountError`.
        folder: folder of the store; None = not known.
    """

    def __init__(self, message: str, remedy: str = "", *, folder: Path | None = None) -> None:
        super().__init__(message, remedy)
        self.folder = folder


class StoreFullError(WordcountError):
    """The disk under the state folder, or the user's disk quota, is full. The process ends, and nothing is lost."""


class StoreUnavailableError(WordcountError):
    """The system refuses a store files, memory, rights or the disk. The process ends, and the store stays as it is."""


class OutOfMemoryError(WordcountError):
    """The system gives this process no more memory. The process ends, and nothing is lost."""


class PartitionsLostError(WordcountError):
    """This process no longer owns the partition, or may not own it. Its buffer is dropped, and nothing more is written for it."""


class FlushUnknownError(WordcountError):
    """It is not known whether records reached the broker, or a topic was created again. A restore examines the changelog again."""


class ForeignRecordsError(WordcountError):
    """Another process appended to the changelog of the partition. A restore adopts its records and heals the changelog."""


class ChangelogReplacedError(WordcountError):
    """The store is of a changelog that was deleted or created again. The store is rebuilt from the present changelog."""


class StalledError(WordcountError):
    """Records wait and no position moves, although the broker answers. The process ends, so that another process can start."""


class InexactError(WordcountError):
    """The input topic or the changelog no longer allows an exact count. The partition stops until an operator decides."""


class ForeignChangelogError(InexactError):
    """The changelog has counts of another group or topic. The partition stops, and its store is rebuilt at the next assignment."""
