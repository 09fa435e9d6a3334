"""Every error of Wordcount: one root, and leaves that say who is at fault and what helps.

A message names the thing (setting, topic, partition, file) and its `remedy` says what to do. The mapping to HTTP status codes
is made once, in `app.web.problems`; the mapping to exit codes once, in `app.exit_codes`.
"""

from __future__ import annotations

from pathlib import Path


class WordcountError(Exception):
    """Root of all errors that Wordcount raises on purpose.

    Args:
        message: what is wrong, naming the thing.
        remedy: what the operator can do about it; empty where nothing but a retry helps.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class ConfigurationError(WordcountError):
    """A setting, flag or environment is wrong: the operator's to mend; a retry does not help."""


class BadRequestError(WordcountError):
    """A query asks for something that cannot be answered: the caller's to mend."""


class NotReadyError(WordcountError):
    """The answer is not available yet: retry later."""


class OverloadedError(WordcountError):
    """More is asked than is answered: retry later."""


class QueryTimeoutError(WordcountError):
    """An answer takes longer than a query may: retry, or let queries take longer."""


class BrokerUnavailableError(WordcountError):
    """No broker answers at the configured address: retry, or mend the address."""


class StateLockedError(WordcountError):
    """Another process uses the state folder."""


class StoreCorruptedError(WordcountError):
    """A partition store cannot be read; it is thrown away and rebuilt from the changelog.

    Args:
        message, remedy: see the root.
        folder: of the store.
    """

    def __init__(self, message: str, remedy: str = "", *, folder: Path | None = None) -> None:
        super().__init__(message, remedy)
        self.folder = folder


class StoreFullError(WordcountError):
    """The disk under the state folder, or the user's share of it, is full: the process ends, nothing is lost."""


class StoreUnavailableError(WordcountError):
    """The system refuses what a store needs (files, memory, rights, the disk): the process ends, the store stays as it is."""


class OutOfMemoryError(WordcountError):
    """The system gives this process no more memory: the process ends, nothing is lost."""


class PartitionsLostError(WordcountError):
    """This process no longer owns the partition: drop its buffer, write nothing more for it."""


class FlushUnknownError(WordcountError):
    """Whether a flush reached the broker is not known (time-out): examine the changelog again."""


class ForeignRecordsError(WordcountError):
    """Somebody else appended to a shard's changelog partition; a restore adopts and heals."""


class ChangelogReplacedError(WordcountError):
    """A store is of a changelog that is gone; an empty store has to take its place."""


class StalledError(WordcountError):
    """Records wait and nothing moves, although the broker answers: the process ends so that another can start."""


class InexactError(WordcountError):
    """The log or the changelog no longer allows an exact count: the partition stops until an operator decides."""


class ForeignChangelogError(InexactError):
    """The changelog has counts of another group or topic. What was adopted before that was seen is thrown away."""
