"""The question of a worker to itself: whether the URL that it advertises to the other workers leads to it, and to no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from agents.source.group_map import GroupMap
from app.bodies import ReadinessCheck
from app.reads.peers import OtherDeploymentError, PeerError
from app.reads.questions import WorkerStatus

TIMEOUT_S: Final = 5.0
"""Longest wait for an answer."""

PAUSES_S: Final = (1.0, 3.0, 10.0, 30.0)
"""Pauses between questions; the last one is repeated until the right process answers."""

LOOK_S: Final = 10.0
"""Seconds between two looks whether other workers advertise the same URL."""

REMEDY: Final = "set WORDCOUNT_ADVERTISED_URL to a URL at which the other workers reach this one"

_log = structlog.get_logger(__name__)


class OwnAddress:
    """Asks the URL that this worker advertises until this worker answers there, and looks whether others advertise it, too.

    Each of two workers that advertise one URL may find itself there, for example at 127.0.0.1 of its own machine, and neither can be
    asked by the others: only the map of the group shows that.

    Args:
        url: returns the advertised URL; "" = none, because no HTTP is served.
        process: random name of this process.
        ask: asks the worker at a URL what it does, within some seconds; `app.reads.peers.Peers.status`.
        group_map: returns the newest map of the group; None = not known.
    """

    def __init__(
        self,
        url: Callable[[], str],
        process: str,
        ask: Callable[[str, float], Awaitable[WorkerStatus]],
        group_map: Callable[[], GroupMap | None],
    ) -> None:
        self._url = url
        self._process = process
        self._ask = ask
        self._group_map = group_map
        self._found = ReadinessCheck(True, "not asked yet")
        self._watching: asyncio.Task[None] | None = None

    def check(self) -> ReadinessCheck:
        """Return what answered last at the advertised URL, or how many workers of the group advertise it if there are several.

        The check fails only if certainly another process answers, or advertises the URL, too. An address at which nobody answers is no
        reason to take a worker out of service: the worker can still ask the others, and the network may let others reach it where it
        cannot reach itself.
        """
        return self._shared() or self._found

    async def watch(self) -> None:
        """Ask until this process answers, and look for ever whether others advertise its URL, too. Call when HTTP is served."""
        self._watching = asyncio.current_task()
        await asyncio.gather(self.find(), self._look_for_namesakes())

    async def find(self) -> None:
        """Ask until this process answers, and log each different answer of somebody or nobody else once."""
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
        if self._watching is not None:
            self._watching.cancel()

    async def _look_for_namesakes(self) -> None:
        """Log each different number of workers that advertise the URL of this one once, and when there are none any more."""
        told: str | None = None
        while True:
            shared = self._shared()
            found = None if shared is None else shared.detail
            if found is not None and found != told:
                _log.warning("other workers advertise the URL of this worker", found=found, remedy=REMEDY)
            elif found is None and told is not None:
                _log.info("no other worker advertises the URL of this worker any more", url=self._url())
            told = found
            await asyncio.sleep(LOOK_S)

    def _shared(self) -> ReadinessCheck | None:
        """Return what readiness says if several workers of the group advertise the URL of this one; None = they do not."""
        group_map = self._group_map()
        if group_map is None or not group_map.namesakes:
            return None
        return ReadinessCheck(
            False,
            f"{group_map.namesakes + 1} workers of the group advertise {group_map.myself.url}, so that the others cannot ask each of "
            f"them; {REMEDY}",
        )

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
