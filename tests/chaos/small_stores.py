"""A worker for the soak with small memtables and a small block cache, which fill during the warm-up.

With memtables of 8 MiB, and eight files before a compaction, one round of compaction takes half an hour at the rate of the soak, and
the number of open descriptors rises until the round ends. The block cache keeps blocks of deleted files until newer blocks need the
room, so filling its 64 MiB takes an hour. With small memtables and a small cache, a soak contains several rounds of compaction.
"""

from __future__ import annotations

import os

MEMTABLE_BYTES = 1 << 20
BLOCK_CACHE_BYTES = 2 << 20


def main() -> None:
    """Run the command `wordcount worker` with small memtables and a small block cache."""
    os.environ.setdefault("FAUST_LOOP", "uvloop")
    from app.cli import main as wordcount
    from tables.store import stores

    for module, name, value in (
        (stores, "WRITE_BUFFER_BYTES", MEMTABLE_BYTES),
        (stores, "BLOCK_CACHE_BYTES", BLOCK_CACHE_BYTES),
    ):
        assert hasattr(module, name), "what is lowered here has another name now"
        setattr(module, name, value)
    wordcount(["worker"])


if __name__ == "__main__":
    main()
