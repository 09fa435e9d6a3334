"""What a run is told by variables PEER_*, and the marks by which it tells how far it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def text(name: str) -> str:
    """The value of PEER_`name`."""
    return os.environ[f"PEER_{name}"]


def settings() -> dict[str, str]:
    """The settings of the system: lines `name=value`."""
    lines = Path(text("SETTINGS")).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def mark(moment: str) -> None:
    """Tell that a moment of the run has come; the pipe's reader takes the time."""
    with Path(text("MARKS")).open("w") as pipe:
        pipe.write(f"{moment}\n")


def write(counts: Mapping[str, int]) -> None:
    """Write the counts for the comparison, and tell so."""
    with Path(text("COUNTS") + "-0").open("w", encoding="utf-8") as file:
        file.writelines(f"{word}\t{count}\n" for word, count in counts.items())
    mark("written")
