"""What HTTP asks of the process besides its counts, which `app.reads.answers` describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of readiness; `detail` says in a few words what was found, without secrets."""

    ok: bool
    detail: str


class Health(Protocol):
    """Readiness of this process."""

    def checks(self) -> Mapping[str, Check]:
        """The checks `broker`, `assignment`, `restored`, `draining`; ready where all are ok; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """What runs: versions of Wordcount, Python and Faust, and the commit where the build knows it."""

    version: str
    python: str
    faust: str
    commit: str | None = None
