"""Machine, package versions and commit, on which measured figures depend."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("faust-streaming", "aiokafka", "rocksdict", "pyarrow", "numpy", "uvloop")


def machine() -> dict[str, Any]:
    """Return processor, memory, system and Python."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system() + " " + platform.machine(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that the hot path uses."""
    return {name: version(name) for name in _PACKAGES}


def commit() -> str:
    """Return the commit of the checkout, marked `-dirty` if files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def _cpu_model() -> str:
    """Return the processor's name as the kernel has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
