"""What HTTP asks of the process besides its counts, which `app.reads.answers` describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.bodies import ReadinessCheck


class Health(Protocol):
    """Readiness of this process."""

    def checks(self) -> Mapping[str, ReadinessCheck]:
        """The checks `broker`, `assignment`, `restored`, `draining`; ready where all are ok; never raises."""
        ...
