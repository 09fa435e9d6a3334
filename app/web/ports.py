"""The interface through which HTTP asks for readiness. The interface for counts is in `app.reads.answers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.bodies import ReadinessCheck


class Health(Protocol):
    """Readiness of this process."""

    def checks(self) -> Mapping[str, ReadinessCheck]:
        """Return the checks `broker`, `assignment`, `restored`, `draining`; the process is ready if all are ok. Raise nothing."""
        ...
