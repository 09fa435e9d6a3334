"""The interface between the benchmark and the compared programs: variables PEER_*, marks of progress, and counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def text(name: str) -> str:
    """Return the value of the variable PEER_`name`."""
    return os.environ[f"PEER_{name}"]


def settings() -> dict[str, str]:
    """Return the settings of the system, from a file with lines `name=value`."""
    lines = Path(text("SETTINGS")).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def mark(moment: str) -> None:
    """Write a mark that names a moment of the run; the benchmark, which reads the pipe, measures the time."""
    with Path(text("MARKS")).open("w") as pipe:
        pipe.write(f"{moment}\n")


def write(counts: Mapping[str, int]) -> None:
    """Write the counts for the comparison, then a mark."""
    with Path(text("COUNTS") + "-0").open("w", encoding="utf-8") as file:
        file.writelines(f"{word}\t{count}\n" for word, count in counts.items())
    mark("written")
