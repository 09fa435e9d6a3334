"""The result files of `bench/results/`: reading and writing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "results"
LATEST = FOLDER / "latest.json"
GROWTH = FOLDER / "growth.json"


def read(path: Path) -> dict[str, Any]:
    """Return the content of a result file; {} if the file does not exist."""
    found: dict[str, Any] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    return found


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Write a result file, indented."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
