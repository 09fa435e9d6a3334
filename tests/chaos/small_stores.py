"""A worker whose memtables and block cache are small: they fill in the warm-up of a soak, and it sees several rounds of compaction.

With 8 MiB a memtable, and eight files before a compaction, one round takes half an hour at the soak's rate; until its end descriptors
rise. The block cache keeps blocks of files that are gone until newer ones need the room: it takes an hour to fill its 64 MiB.
"""

from __future__ import annotations

import os

MEMTABLE_BYTES = 1 << 20
BLOCK_CACHE_BYTES = 2 << 20


def main() -> None:
    """The command `wordcount worker`."""
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
