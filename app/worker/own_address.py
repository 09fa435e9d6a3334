"""The question of a worker to itself: whether the URL that it advertises to the other workers leads to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from app.bodies import ReadinessCheck
from app.reads.peers import OtherDeploymentError, PeerError
from app.reads.questions import WorkerStatus

TIMEOUT_S: Final = 5.0
"""Longest wait for an answer."""

PAUSES_S: Final = (1.0, 3.0, 10.0, 30.0)
"""Pauses between questions; the last one is repeated until the right process answers."""

REMEDY: Final = "set WORDCOUNT_ADVERTISED_URL to a URL at which the other workers reach this one"

_log = structlog.get_logger(__name__)


class OwnAddress:
    """Asks the URL that this worker advertises until this worker answers there.

    Args:
        url: returns the advertised URL; "" = none, because no HTTP is served.
        process: random name of this process.
        ask: asks the worker at a URL what it does, within some seconds; `app.reads.peers.Peers.status`.
    """

    def __init__(
        self, url: Callable[[], str], process: str, ask: Callable[[str, float], Awaitable[WorkerStatus]]
    ) -> None:
        self._url = url
        self._process = process
        self._ask = ask
        self._found = ReadinessCheck(True, "not asked yet")
        self._finding: asyncio.Task[None] | None = None

    def check(self) -> ReadinessCheck:
        """Return what answered last at the advertised URL.

        The check fails only if certainly another process answers. An address at which nobody answers is no reason to take a worker out
        of service: the worker can still ask the others, and the network may let others reach it where it cannot reach itself.
        """
        return self._found

    async def find(self) -> None:
        """Ask until this process answers, and log each different answer of somebody or nobody else once. Call when HTTP is served."""
        self._finding = asyncio.current_task()
        told: str | None = None
        pauses = iter(PAUSES_S)
        pause_s = next(pauses)
        while not await self._is_right():
            if self._found.detail != told:
                told = self._found.detail
                _log.warning("the advertised URL does not lead to this worker", found=told, remedy=REMEDY)
            await asyncio.sleep(pause_s)
            pause_s = next(pauses, pause_s)
        if told is not None:
            _log.info("the advertised URL leads to this worker", url=self._url())

    def close(self) -> None:
        """Ask nothing from now on."""
        if self._finding is not None:
            self._finding.cancel()

    async def _is_right(self) -> bool:
        url = self._url()
        if not url:
            self._found = ReadinessCheck(True, "this worker serves no HTTP, so other workers cannot ask it")
            return True
        try:
            status = await self._ask(url, TIMEOUT_S)
        except OtherDeploymentError as error:
            self._found = ReadinessCheck(False, f"another process answers: {error}; {REMEDY}")
        except PeerError as error:
            self._found = ReadinessCheck(
                True,
                f"nobody answers at {url} as this worker does ({error}); other workers cannot ask this one: {REMEDY}",
            )
        else:
            if status.process == self._process:
                self._found = ReadinessCheck(True, f"{url} leads here")
                return True
            self._found = ReadinessCheck(
                False, f"another worker of this deployment answers at {url}; {REMEDY}"
            )
        return False
