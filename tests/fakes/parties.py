"""Queries over the partitions of this process alone, and a worker without others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from agents.source.group_map import GroupMap
from app.reads.answers import FollowerStatus, PartitionStatus
from app.reads.holdings import Held, Holdings
from app.reads.local import LocalReads
from app.reads.parties import Parties
from app.reads.peers import PeerError
from app.reads.queries import TIMEOUT_S, WordQueries
from app.reads.questions import Question, Told, WorkerStatus
from app.reads.store_reads import StoreReads


class NoWorkers:
    """Other workers of which none answers."""

    def is_suspect(self, url: str) -> bool:
        return False

    async def status(self, url: str, timeout_s: float) -> WorkerStatus:
        raise PeerError(f"{url} is not there")

    async def ask(self, url: str, question: Question, timeout_s: float) -> Told[Any]:
        raise PeerError(f"{url} is not there")


class OwnedHoldings:
    """All owned partitions that can answer, whatever other processes may have shown.

    Args:
        partitions: a `Partitions`, or what looks like it.
    """

    def __init__(self, partitions: Any) -> None:
        self._partitions = partitions

    def owned(self) -> Collection[int]:
        found: Collection[int] = self._partitions.partition_numbers()
        return found

    def followed(self) -> Collection[int]:
        return ()

    def partitions(self) -> Mapping[int, PartitionStatus]:
        return {number: PartitionStatus("counting") for number in self.owned()}

    def standbys(self) -> Mapping[int, FollowerStatus]:
        return {}

    def asked(self) -> None:
        """Nothing here pauses for a question."""

    async def held(self, numbers: Collection[int], max_lag_records: int | None, end_s: float) -> Held:
        held, shards = Held(), self._partitions.shards()
        for number in numbers:
            if number in shards:
                held.add(number, shards[number].served, "active")
            else:
                held.refuse(number, "it is not here")
        return held


def queries_alone(
    holdings: Holdings,
    stores: StoreReads,
    partition_count: Callable[[], int | None],
    group_map: Callable[[], GroupMap | None] = lambda: None,
    timeout_s: float = TIMEOUT_S,
) -> WordQueries:
    """Queries of a worker that has no others."""
    local = LocalReads(holdings, stores, process="p", version="1")
    return WordQueries(Parties(local, partition_count, group_map, NoWorkers()), timeout_s)
