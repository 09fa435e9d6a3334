"""The limit of open files: raised as far as the system allows, and compared with the files that the partitions need."""

from __future__ import annotations

import resource
from math import ceil

PER_PARTITION = 6.5
"""Open files per partition, measured: 6 for an empty store, and one for each SST file, most of which are soon merged.

A worker with 300 partitions had 1,947 open files.
"""

OTHERS = 256
"""Open files for connections to brokers and of HTTP, logs and libraries; a worker without partitions has 60."""

_MOST = 1 << 20
"""Largest limit that is set, more than any process needs.

An unlimited number would be inherited by child processes, and some close every file number that they may have.
"""


def raise_limit() -> None:
    """Raise the soft limit of this process to its hard limit, at most to `_MOST`. Do nothing if the system refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return


def limit() -> int:
    """Return the number of files that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft


def highest_limit() -> int:
    """Return the limit that `raise_limit` would reach."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if hard == resource.RLIM_INFINITY else hard


def needed(partitions: int) -> int:
    """Return the number of files that a worker with `partitions` partitions has open, about at most."""
    return ceil(partitions * PER_PARTITION) + OTHERS


def too_few(partitions: int, files: int) -> str:
    """Return the problem if a limit of `files` is too low for a worker that counts all `partitions`; "" = no problem."""
    if files >= needed(partitions):
        return ""
    return f"a worker that counts all {partitions} partitions needs about {needed(partitions)} open files, and may have {files}"


REMEDY = "raise the hard limit of open files (ulimit -Hn, LimitNOFILE=), or run more workers"
