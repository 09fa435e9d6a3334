"""The limit of open files: raised as far as this process may, and compared with what its partitions need."""

from __future__ import annotations

import resource
from math import ceil

PER_PARTITION = 6.5
"""Measured: 6 for an empty store, one for each SST file, most of them merged again soon; 1,947 with 300 partitions."""

OTHERS = 256
"""Connections of brokers and of HTTP, logs, libraries: a worker without partitions has 60."""

_MOST = 1 << 20
"""No process needs more; a limit of "unlimited" is not passed on to children that close all that they may have."""


def raise_limit() -> None:
    """Set the soft limit of this process to its hard one. Where the system refuses, the limit stays as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return


def limit() -> int:
    """Files that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft


def highest_limit() -> int:
    """What `raise_limit` leads to."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if hard == resource.RLIM_INFINITY else hard


def needed(partitions: int) -> int:
    """Files that a worker has open which counts so many partitions."""
    return ceil(partitions * PER_PARTITION) + OTHERS


def too_few(partitions: int, files: int) -> str:
    """What is wrong with a limit of `files` for a worker that has to count all `partitions`; "" = nothing."""
    if files >= needed(partitions):
        return ""
    return f"a worker that counts all {partitions} partitions needs about {needed(partitions)} open files, and may have {files}"


REMEDY = "raise the hard limit of open files (ulimit -Hn, LimitNOFILE=), or run more workers"
