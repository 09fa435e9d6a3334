"""The workers that a command asks: one that the user names, or else those of the group, one after the other until one answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from app.operate.worker_client import member_addresses, worker_address
from tables.errors import BadRequestError, ConfigurationError, NotReadyError, WordcountError

if TYPE_CHECKING:
    from app.config.settings import Settings
    from app.operate.worker_client import WorkerAddress

MOST_NAMED: Final = 5
"""Most workers that an error names one by one."""

LONGEST_S: Final = 30.0
"""After this time no further worker is asked."""

Value = TypeVar("Value")


class AskedWorkers:
    """Asks workers that all give the same answers.

    The workers of the group are looked up when they are needed, and again after none of them has answered.

    Args:
        settings: name the brokers, the group, and where a worker of this machine listens.
        url: the worker to ask; None = those of the group, or, if they cannot be found, the worker of these settings on this machine.

    Attributes:
        answered: URL of the worker that answered last, which is the first that is asked next; "" = none has answered.
    """

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        self._settings = settings
        self._url = url
        self._addresses: Sequence[WorkerAddress] = ()
        self._why_local = ""
        self.answered = ""

    def ask(self, question: Callable[[WorkerAddress], Value]) -> Value:
        """Return the answer of the first worker that gives one.

        Args:
            question: asks the worker at an address.

        Raises:
            BadRequestError: a worker refuses the question.
            ConfigurationError: the URL, or what workers are asked with, is wrong.
            NotReadyError: no worker answers, and some cannot answer now.
            WordcountError: no worker answers.
        """
        if not self._addresses:
            self._addresses = self._found()
        began_s, errors = monotonic(), list[WordcountError]()
        for address in sorted(self._addresses, key=lambda one: one.url != self.answered):
            if errors and monotonic() - began_s > LONGEST_S:
                break
            try:
                answer = question(address)
            except BadRequestError:
                raise
            except WordcountError as error:
                errors.append(error)
            else:
                self.answered = address.url
                return answer
        tried, self._addresses = len(self._addresses), ()
        raise self._error(errors, tried)

    def _found(self) -> Sequence[WorkerAddress]:
        """Return the addresses of the workers, in random order, so that not everybody asks the same worker."""
        self._why_local = ""
        if self._url is not None:
            return [worker_address(self._settings, self._url)]
        if urls := self._urls_of_group():
            return member_addresses(self._settings, random.sample(urls, len(urls)))
        try:
            return [worker_address(self._settings)]
        except ConfigurationError as error:
            raise self._explained(error) from None

    def _urls_of_group(self) -> Sequence[str]:
        """Return the URLs of the workers of the group; if there are none, note the reason."""
        # Asking brokers takes 0.1 s more to import than asking a worker.
        from app.kafka.group_members import find_members

        try:
            members = asyncio.run(find_members(self._settings))
        except WordcountError as error:
            self._why_local = error.message
            return []
        urls = sorted({member.card.url for member in members if member.card is not None} - {""})
        if not urls:
            group = self._settings.group
            self._why_local = (
                f"none of the {len(members)} members of group {group} tells where it is asked"
                if members
                else f"group {group} has no members"
            )
        return urls

    def _error(self, errors: Sequence[WordcountError], tried: int) -> WordcountError:
        if tried == 1:
            return self._explained(errors[0])
        said = "; ".join(error.message for error in errors[:MOST_NAMED])
        if further := tried - min(len(errors), MOST_NAMED):
            said += f"; and {further} more"
        kinds, remedies = {type(error) for error in errors}, {error.remedy for error in errors}
        kind = NotReadyError if NotReadyError in kinds else kinds.pop() if len(kinds) == 1 else WordcountError
        return kind(
            f"none of the {tried} workers of group {self._settings.group} answers: {said}",
            remedies.pop()
            if len(remedies) == 1
            else "ask again in a moment, or give the address of a worker by --url",
        )

    def _explained(self, error: WordcountError) -> WordcountError:
        """Return `error` with the reason why the worker of this machine was asked."""
        if not self._why_local:
            return error
        return type(error)(
            f"{error.message} (asked here, because the workers of the group were not found: {self._why_local})",
            error.remedy,
        )
