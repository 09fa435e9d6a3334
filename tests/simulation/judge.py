"""What has to hold at any moment, whatever has happened."""

from collections import Counter
from typing import Any

import numpy as np

from tables.rows import unpack_row
from tables.shard import Shard
from tables.vocabulary import UNKNOWN
from tests.simulation.broker import Broker
from tests.simulation.disks import MemoryStore
from tests.simulation.process import Process


class WrongError(AssertionError):
    """The tables broke one of their promises."""


class Judge:
    """Compares stores, caches and changelogs with the input.

    Args:
        broker: knows what is true.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._shown: Counter[int] = Counter()
        self._checked: dict[Shard, tuple[Any, ...]] = {}

    def look_at(self, process: Process) -> None:
        """Raises WrongError."""
        for number, part in process.counts._partitions.items():
            self._look_at_shard(process, number, part.shard)
        for number, error in process.counts.errors().items():
            raise WrongError(f"partition {number} of {process.name} stopped: {error}")

    def look_at_changelogs(self) -> None:
        """Whoever has nothing but a changelog comes to the true counts. Raises WrongError."""
        for number, (log, source) in enumerate(zip(self._broker.changelog, self._broker.source, strict=True)):
            restored, true = log.restored(), source.counts(source.end)
            if restored != true:
                raise WrongError(f"changelog {number} alone gives {restored}, true is {true}")

    def _look_at_shard(self, process: Process, number: int, shard: Shard) -> None:
        store = store_of(shard)
        if store.disk.corrupt or not store.disk.locked:
            return
        name = f"partition {number} of {process.name}"
        if self._broker.owners.get(number) == process.name and not process.fenced:
            self._look_at_owner(name, process, number, shard)
        looked_at = (store.image, shard.cache, shard.readable)
        before = self._checked.get(shard, (None, None, None))
        if all(now is then for now, then in zip(looked_at, before, strict=True)):
            return
        self._checked[shard] = looked_at
        self._look_at_rows(name, number, shard)

    def _look_at_owner(self, name: str, process: Process, number: int, shard: Shard) -> None:
        if shard.readable:
            shown = self._shown[number]
            if shard.position < shown:
                raise WrongError(f"{name} answers as of {shard.position}, after {shown} was shown")
            self._shown[number] = shard.position
        if process.counts.state(number)[0] == "counting":
            log = self._broker.changelog[number]
            log.examined = max(log.examined, shard.store.state.changelog_next)

    def _look_at_rows(self, name: str, number: int, shard: Shard) -> None:
        source = self._broker.source[number]
        rows = {word: unpack_row(value) for word, value in store_of(shard).image.rows.items()}
        for word, (count, upto) in rows.items():
            if count != source.count(word, upto):
                raise WrongError(f"{name}: {word!r} {count} up to {upto}, true is {source.count(word, upto)}")
        counts = {word: count for word, (count, _) in rows.items()}
        _look_at_cache(name, shard, counts)
        if shard.readable:
            true, totals = source.counts(shard.position), source.totals(shard.position)
            if counts != true:
                raise WrongError(f"{name} at {shard.position}: {counts}, true is {true}")
            if shard.store.state.totals != totals:
                raise WrongError(f"{name} at {shard.position}: {shard.store.state.totals}, true is {totals}")


def store_of(shard: Shard) -> MemoryStore:
    store: Any = shard.store
    assert isinstance(store, MemoryStore)
    return store


def _look_at_cache(name: str, shard: Shard, counts: dict[bytes, int]) -> None:
    words = shard.cache.vocabulary.words
    cached = np.full(len(words), UNKNOWN, np.int64)
    known = shard.cache._counts[: len(words)]
    cached[: len(known)] = known
    for word, count in zip(words, cached.tolist(), strict=True):
        missing = count == UNKNOWN and not (shard.cache.complete and word in counts)
        if not missing and count != counts.get(word, 0):
            raise WrongError(f"{name}: the cache has {count} of {word!r}, the store {counts.get(word)}")
