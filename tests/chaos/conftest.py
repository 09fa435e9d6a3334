"""A broker of these tests' own, workers on it, and whole clusters with a broker each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.integration.conftest import broker, close_all, kafka, kafka_at, topic_name, workers

BESIDE_OTHERS_S = 180.0
"""How long a recovery may take in `make test`, whose parts share the cores; `make chaos` has the bound that is promised."""

__all__ = ["broker", "kafka", "kafka_at", "start_cluster", "topic_name", "workers"]


@pytest.fixture
async def start_cluster(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Cluster]]]:
    """Starts a cluster of (seed, compaction lag in ms), with or without windows, which ends with the test."""
    started: list[Cluster] = []

    async def start(seed: int, compaction_lag_ms: int, *, windowed: bool = False) -> Cluster:
        cluster = Cluster(tmp_path, seed, compaction_lag_ms, windowed=windowed)
        cluster.recovery_bound_s = BESIDE_OTHERS_S
        started.append(cluster)
        await cluster.start()
        return cluster

    yield start
    for cluster in started:
        await close_all(cluster.workers)
        await cluster.close()
