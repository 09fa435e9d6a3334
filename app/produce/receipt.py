"""The interface through which HTTP sends texts to the input topic: a receipt of the brokers, or what is in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tables.errors import WordcountError


class IngestOffError(WordcountError):
    """This process takes no texts."""


class NotDeliveredError(WordcountError):
    """The brokers have not confirmed all texts of a request.

    Args:
        message, remedy: see `WordcountError`.
        accepted: texts that the brokers have confirmed.
        in_doubt: further texts that are perhaps in the topic, or will be; the others are not.
    """

    def __init__(self, message: str, remedy: str, *, accepted: int, in_doubt: int) -> None:
        super().__init__(message, remedy)
        self.accepted = accepted
        self.in_doubt = in_doubt


class TextTooLongError(WordcountError):
    """A text is longer than a record may be. Nothing of its request was sent."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Texts that all in-sync replicas have.

    Attributes:
        accepted: number of the texts.
        ends: partition -> offset after the last of these texts.
    """

    accepted: int
    ends: Mapping[int, int]


class Ingest(Protocol):
    """Takes texts."""

    def check(self) -> None:
        """Return if texts can be sent now.

        Raises:
            IngestOffError: this process takes no texts.
            NotReadyError: it stops.
            OverloadedError: too many requests are under way.
        """
        ...

    async def send(self, texts: Sequence[str], key: str | None) -> Receipt:
        """Send each text as a record, and return when the brokers have confirmed all of them.

        Args:
            texts: the texts, at least one, in their order.
            key: name of this request, the same when it is sent again; None = it has none.

        Raises:
            IngestOffError, NotReadyError, OverloadedError: as `check`.
            TextTooLongError: nothing was sent.
            NotDeliveredError: not everything is confirmed.
        """
        ...


class NoIngest:
    """The `Ingest` of a process that takes no texts.

    Args:
        message, remedy: of the error with which texts are refused.
    """

    def __init__(
        self,
        message: str = "this process takes no texts",
        remedy: str = "send them to a worker with WORDCOUNT_INGEST=true",
    ) -> None:
        self._message = message
        self._remedy = remedy

    def check(self) -> None:
        """Raise IngestOffError."""
        raise IngestOffError(self._message, self._remedy)

    async def send(self, texts: Sequence[str], key: str | None) -> Receipt:
        """Raise IngestOffError."""
        raise IngestOffError(self._message, self._remedy)
