"""Flushes of a store, small and large, and a process that goes on making them until it is killed."""

from tables.model.rows import Marker, StoreState
from tables.store.partition_store import SMALL_FLUSH_ROWS, PartitionStore
from tests.fakes.rows import pack_row

LARGE = [b"word-%06d" % i for i in range(SMALL_FLUSH_ROWS + 1000)]


SMALL = LARGE[::50]


FLUSHES = {"small": [SMALL], "large": [LARGE], "mixed": [LARGE, SMALL, SMALL, LARGE, SMALL]}


WRITER = """
import sys
from pathlib import Path
from rocksdict import Cache
from tables.store.partition_store import PartitionStore
from tests.unit.tables.store.flushes import FLUSHES, flush
store = PartitionStore(Path(sys.argv[1]), Cache(1 << 20))
kinds = FLUSHES[sys.argv[2]]
for position in range(1, 1000000):
    flush(store, position, kinds[position % len(kinds)])
    print(position, flush=True)
"""


def state(position: int) -> StoreState:
    marker = Marker(topic="input", profile="p", origin=0, position=position)
    return StoreState(marker=marker, examined=position, max_upto=position)


def flush(store: PartitionStore, position: int, words: list[bytes]) -> None:
    store.commit(store.stage(words, [pack_row(position, position)] * len(words)), state(position))
