"""A worker whose memtables are an eighth of the usual: a soak sees several rounds of writing them out and compacting them.

With 8 MiB each, and eight files before a compaction, one round takes half an hour at the soak's rate; until its end descriptors rise.
"""

from __future__ import annotations

import os

MEMTABLE_BYTES = 1 << 20


def main() -> None:
    """The command `wordcount worker`."""
    os.environ.setdefault("FAUST_LOOP", "uvloop")
    from app.cli import main as wordcount
    from tables import partition_store

    assert hasattr(partition_store, "_WRITE_BUFFER_BYTES"), "what is lowered here has another name now"
    partition_store._WRITE_BUFFER_BYTES = MEMTABLE_BYTES
    wordcount(["worker"])


if __name__ == "__main__":
    main()
