"""Windows stay exact while workers are killed, and the comparison of a chaos run notices a wrong one."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from tables.model.names import changelog_topic
from tables.model.windows import Pane
from tests.chaos.cluster import COMPACTION_LAG_MS, GROUP, ChaosError, Cluster
from tests.chaos.faults import kill_and_wipe, kill_at
from tests.chaos.feed import TOPIC
from tests.chaos.windowed import SIZES_S, Times, WindowTruth
from tests.fakes.rows import pack_row
from tests.integration.operator_tools import append
from tests.integration.worker import end_offsets, wait_for

SEED = random.SystemRandom().randrange(1 << 20)


@pytest.mark.timeout(900)
async def test_windows_are_exact_after_kills_and_a_wrong_count_would_be_noticed(
    start_cluster: Callable[..., Awaitable[Cluster]], record_property: Callable[[str, object], None]
) -> None:
    record_property("seed", SEED)
    cluster = await start_cluster(SEED, COMPACTION_LAG_MS, windowed=True)
    chance = random.Random(SEED)
    for point in ("request-sent", "commit-done"):
        await kill_at(point, cluster, chance)
    await kill_and_wipe(cluster, chance)
    await cluster.compare()
    compared = cluster.windows.counts
    assert compared > 100
    await cluster.compare_stores()
    assert cluster.windows.counts > compared

    stream_ms, end = cluster.recount.windows[3].stream_ms, cluster.recount.next[3]
    assert stream_ms is not None
    pane = Pane(SIZES_S[1], stream_ms // 60_000 * 60)
    changelog = changelog_topic(GROUP, TOPIC)
    await append(cluster.servers, changelog, 3, pane.prefix + b"ghost", pack_row(1, end))
    assert await cluster.windows.compare_changelog(
        cluster.servers, changelog, cluster.recount.next, cluster.recount.windows
    )
    assert cluster.windows.differing == 1
    assert "word=b'ghost'): 1 for 0" in str(cluster.windows)


async def test_a_record_that_was_counted_once_too_little_is_noticed(
    start_cluster: Callable[..., Awaitable[Cluster]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = await start_cluster(SEED, COMPACTION_LAG_MS, windowed=True)

    async def has_records() -> bool:
        return sum((await end_offsets(cluster.servers, TOPIC)).values()) > 500

    await wait_for(has_records, "records to count")
    take, taken = WindowTruth.take, 0

    def take_one_twice(self: WindowTruth, offset: int, time_ms: int, words: list[bytes]) -> None:
        """Take each record once and one of them twice, as if the worker had lost one of two equal records."""
        nonlocal taken
        taken += 1
        take(self, offset, time_ms, words)
        if taken == 50:
            take(self, offset, time_ms, words)

    monkeypatch.setattr(WindowTruth, "take", take_one_twice)
    with pytest.raises(ChaosError, match="counts of windows differ"):
        await cluster.compare()


def test_the_times_of_a_run_have_late_records_and_jumps_of_all_kinds() -> None:
    times, truth = Times(SEED), WindowTruth()
    confirmed, offset = 0, 0
    for _ in range(1500):
        for time_ms in times.of_chunk(5):
            before = truth.stream_ms
            truth.take(offset, time_ms, [b"w"])
            offset += 1
            confirmed += (
                before is not None and truth.stream_ms is not None and truth.stream_ms - before > 600_000
            )
    assert confirmed > 1
    assert truth.untimed["jump"] > 1
    assert truth.untimed["impossible_time"] > 1
    assert truth.late[5] > truth.late[60] > 100
