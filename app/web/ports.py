"""The interfaces through which HTTP asks for readiness and for watches. The interface for counts is in `app.reads.answers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.bodies import ReadinessCheck
from app.watch_bodies import Watches


class Health(Protocol):
    """Readiness of this process."""

    def checks(self) -> Mapping[str, ReadinessCheck]:
        """Return the checks `broker`, `assignment`, `restored`, `draining`; the process is ready if all are ok. Raise nothing."""
        ...


class WatchStates(Protocol):
    """How watches stand."""

    async def state(self) -> Watches:
        """Return how they stand, as the worker says that sends. Raise NotReadyError if it does not answer."""
        ...

    def here(self) -> Watches:
        """Return how they stand in this worker. Raise NotReadyError if it does not send."""
        ...
