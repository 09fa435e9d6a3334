"""The memory limit of this process: what settings, cgroups and the machine allow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tables.errors import ConfigurationError
from tables.pace.memory import DEFAULT_BYTES, MIB

if TYPE_CHECKING:
    from app.config.settings import Settings

_ROOT: Final = Path("/")
_NO_LIMIT: Final = 1 << 60
"""Bytes from which on a value is no limit: cgroups of version 1 report a huge number if there is no limit."""

_CGROUP_SHARE: Final = 0.75
"""Share of the container's limit: files that RocksDB ingests, and memory of the kernel for the process, count against the limit."""

_MACHINE_SHARE: Final = 0.5
"""Share of the machine's memory."""


def memory_budget(settings: Settings) -> int:
    """Return the bytes of memory that a worker may use: the setting, or else a number that fits container and machine.

    Raises:
        ConfigurationError: the setting is above the container's limit.
    """
    limit = cgroup_limit()
    if settings.memory_mb is None:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(min(DEFAULT_BYTES, machine * _MACHINE_SHARE, (limit or _NO_LIMIT) * _CGROUP_SHARE))
    if limit is not None and settings.memory_mb * MIB > limit:
        raise ConfigurationError(
            f"WORDCOUNT_MEMORY_MB is {settings.memory_mb}, and the container's limit is {limit // MIB} MiB",
            f"raise the limit, or set WORDCOUNT_MEMORY_MB to {int(limit // MIB * _CGROUP_SHARE)} or less",
        )
    return settings.memory_mb * MIB


def cgroup_limit(root: Path = _ROOT) -> int | None:
    """Return the lowest limit, in bytes, of the cgroups of this process; None = there is no limit, or the limit is not known.

    Cgroups of version 1 and of version 2 are read.

    Args:
        root: root folder of the file system.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return None
    limits = []
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers == "":
            folder, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # A container may see the whole tree of cgroups, or only its own cgroup in place of the root.
        relative = Path(path.lstrip("/"))
        limits += [_limit(folder / each / name) for each in (relative, *relative.parents)]
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)


def _limit(file: Path) -> int:
    try:
        text = file.read_text("ascii").strip()
    except OSError:
        return _NO_LIMIT
    return int(text) if text.isdecimal() else _NO_LIMIT
