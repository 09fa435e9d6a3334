"""Queries over the partitions of this process alone, and a worker without others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from agents.source.group_map import GroupMap
from app.reads.local import LocalReads
from app.reads.parties import Parties
from app.reads.peers import PeerError
from app.reads.queries import WordQueries
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


async def nothing_appended(partitions: Collection[int]) -> Mapping[int, int]:
    """Say of every changelog that it has nothing that a store does not have."""
    return dict.fromkeys(partitions, 0)


def local_reads(partitions: Any, stores: StoreReads, **options: Any) -> LocalReads:
    """Reads of `partitions`, a `Partitions` or what looks like it, whose owner holds the lease."""
    return LocalReads(
        partitions,
        stores,
        **{"holds_lease": lambda: True, "changelog_ends": nothing_appended, "process": "p", "version": "1"}
        | options,
    )


def queries_alone(
    partitions: Any,
    stores: StoreReads,
    partition_count: Callable[[], int | None],
    group_map: Callable[[], GroupMap | None] = lambda: None,
) -> WordQueries:
    """Queries of a worker that has no others."""
    return WordQueries(Parties(local_reads(partitions, stores), partition_count, group_map, NoWorkers()))
