"""A real promtool for the tests of the alerts: one that this machine has, never one that is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "TEST_PROMTOOL"
REMEDY: Final = (
    f"apt-get install -y --no-install-recommends prometheus (or name a promtool that you have by {VARIABLE})"
)


class NoPromtoolError(Exception):
    """There is no promtool; the text is one line, and says how to install it."""


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """Return what the variable names, else the `promtool` on the PATH. Raise `NoPromtoolError`."""
    name = environment.get(VARIABLE) or "promtool"
    if found := shutil.which(name, path=environment.get("PATH", "")):
        return Path(found)
    raise NoPromtoolError(f"no {name} on this machine; install it: {REMEDY}")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; the exit code is the caller's to judge. Raise `NoPromtoolError`."""
    return subprocess.run([find(), *arguments], capture_output=True, text=True, timeout=120, check=False)
