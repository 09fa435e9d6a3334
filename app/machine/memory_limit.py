"""How much memory this process may use: what its cgroups and the machine allow."""

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
"""Version 1 of the cgroups says "as much as there are pages" where there is no limit."""

_CGROUP_SHARE: Final = 0.75
"""Of the limit: the files that RocksDB takes in, and what the kernel keeps for it, count too."""

_MACHINE_SHARE: Final = 0.5


def memory_budget(settings: Settings) -> int:
    """Bytes that a worker may take: as set, or what suits a worker, its container and this machine.

    Raises:
        ConfigurationError: more is set than the container has.
    """
    limit = cgroup_limit()
    if settings.memory_mb is None:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(min(DEFAULT_BYTES, machine * _MACHINE_SHARE, (limit or _NO_LIMIT) * _CGROUP_SHARE))
    if limit is not None and settings.memory_mb * MIB > limit:
        raise ConfigurationError(
            f"WORDCOUNT_MEMORY_MB is {settings.memory_mb}, and the container's limit {limit // MIB} MiB",
            f"raise the limit, or set WORDCOUNT_MEMORY_MB to {int(limit // MIB * _CGROUP_SHARE)} or less",
        )
    return settings.memory_mb * MIB


def cgroup_limit(root: Path = _ROOT) -> int | None:
    """The least limit of the cgroups that this process is in, version 1 or 2; None = there is none, or no way to tell.

    Args:
        root: of the file system; another one in tests.
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
        # A container may see the whole tree, or its own part as if it were the root: then only the root is there.
        relative = Path(path.lstrip("/"))
        limits += [_limit(folder / each / name) for each in (relative, *relative.parents)]
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)


def _limit(file: Path) -> int:
    try:
        text = file.read_text("ascii").strip()
    except OSError:
        return _NO_LIMIT
    return int(text) if text.isdecimal() else _NO_LIMIT
