"""The check of a worker's counts: some words over HTTP while it runs, and every word of its stores after it has stopped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from rocksdict import Cache

from app.local.worker import LocalWorker
from tables.model.rows import unpack_rows
from tables.store.partition_store import PartitionStore

ASKED_WORDS = 20
_CACHE_BYTES = 8 << 20


def answers_right(worker: LocalWorker, truth: Counter[bytes], seed: int = 0) -> bool:
    """Return whether the worker's answers for some words, and its total, equal `truth`."""
    words = random.Random(seed).sample(list(truth), min(ASKED_WORDS, len(truth)))
    return worker.ask("/v1/stats")["words"] == truth.total() and all(
        worker.ask(f"/v1/words/{word.decode()}")["count"] == truth[word] for word in words
    )


def stores_right(folders: Sequence[Path], truth: Counter[bytes]) -> bool:
    """Return whether the sums over the stores in `folders` equal `truth`. No process may have the stores open."""
    words, counts = _sums(folders)
    return len(words) == len(truth) and all(
        truth[word] == count for word, count in zip(words, counts, strict=True)
    )


def newest(folders: Sequence[Path]) -> list[Path]:
    """Return, for each partition, its store with the largest position.

    A partition can have several stores, because a worker that stops first leaves its partitions to the others.
    """
    furthest: dict[str, tuple[int, Path]] = {}
    for folder in folders:
        store = PartitionStore(folder, Cache(_CACHE_BYTES))
        position = store.state.position
        store.close()
        furthest[folder.name] = max(furthest.get(folder.name, (-1, folder)), (position, folder))
    return [folder for _, folder in furthest.values()]


def _sums(folders: Sequence[Path]) -> tuple[list[bytes], list[int]]:
    words: list[pa.Array] = [pa.array([], pa.binary())]
    counts: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = [np.array([], np.int64)]
    for folder in folders:
        store = PartitionStore(folder, Cache(_CACHE_BYTES))
        try:
            for rows in store.slices():
                words.append(pa.array([word for word, _ in rows], pa.binary()))
                counts.append(unpack_rows([row for _, row in rows])[:, 0])
        finally:
            store.close()
    table = pa.table({"word": pa.chunked_array(words), "count": np.concatenate(counts)})
    sums = table.group_by("word").aggregate([("count", "sum")])
    return sums["word"].to_pylist(), sums["count_sum"].to_pylist()
