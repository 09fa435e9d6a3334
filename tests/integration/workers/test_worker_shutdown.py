"""Shutdown: SIGTERM at any moment ends a worker in time and loses no count; neither does a broker that is away for a while."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.exit_codes import EXIT_DEADLINE
from app.local.embedded import EmbeddedBroker
from app.worker.faust_app import UNASSIGNED_STOP_S
from tests.integration.conftest import Workers, close_all
from tests.integration.worker import Worker, counts_of, lines, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

SHUTDOWN_TIMEOUT_S = 4
BACKLOG = 10_000
"""Number of records of 1000 words: 50 MB, of which a fetch returns at most 1 MB of each partition."""

MOMENTS = (
    "[^Worker]: Starting...",
    "[^--WebServer]: Starting...",
    "[^---BatchConsumerThread]: Starting...",
    "[^---Conductor]: Waiting for agents to start...",
    "Executing _on_partitions_assigned",
    "[^Worker]: Ready",
)
"""Lines that a start logs, in this order."""

ENDS = ("[^---Fetcher]: Stopping...", "[^---BatchConsumerThread]: Stopping...", "[^--WebServer]: Stopping...")
"""Lines that a stop logs, in this order: intake ends, the group is left, HTTP ends."""


@pytest.fixture
async def own(
    tmp_path: Path, topic_name: str, kafka_at: Callable[[str], KafkaClient]
) -> AsyncIterator[tuple[EmbeddedBroker, KafkaClient, Workers]]:
    """A broker that the test may stop, and workers that use this broker."""
    with EmbeddedBroker(tmp_path / "broker") as broker:
        workers = Workers(tmp_path, broker.bootstrap_servers, topic_name)
        yield broker, kafka_at(broker.bootstrap_servers), workers
        await close_all(workers.made)


async def wait_records(worker: Worker, least: int) -> int:
    """Wait until at least `least` records are counted; return how many are counted."""
    records = 0

    async def enough() -> bool:
        nonlocal records
        records = (await worker.stats())["records"]
        return records >= least

    await wait_for(enough, f"{least} records counted")
    return records


async def test_sigterm_in_the_midst_of_a_backlog_loses_nothing(kafka: KafkaClient, workers: Workers) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 4)
    worker = workers(flush_bytes=65536)
    produced = counted = 0
    while counted == produced:  # until the signal comes before the end of the backlog
        assert produced < 5 * BACKLOG
        await kafka.produce(topic, lines(1, 100, words=1000) * (BACKLOG // 100), compression="lz4")
        await worker.start().wait_ready()
        await wait_records(worker, produced + 1)
        produced += BACKLOG
        exit_code, took_s = await worker.stop()
        assert exit_code == 0
        assert took_s < 10
        counted = await kafka.committed(workers.group, topic)
    await worker.start().wait_ready()
    await wait_counted([worker], servers, topic)
    metrics = await worker.metrics_of(produced - counted)
    assert metrics["wordcount_restored_rows_total"] == 0  # the buffers had been flushed
    assert metrics["wordcount_records_read_total"] == produced - counted
    assert await counts_of([worker]) == await recount(servers, topic)


async def test_sigterm_at_any_moment_of_a_start_ends_the_worker_in_order(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 12)  # so that opening their stores takes a moment
    await kafka.produce(topic, lines(1, 500))
    starting = [workers(group=f"{workers.group}-{number}") for number in range(len(MOMENTS))]

    async def stop_at(worker: Worker, moment: str) -> int:
        async def has_come() -> bool:
            return moment in worker.log

        worker.start()
        await wait_for(has_come, f"{moment} in the log of {worker.name}")
        return (await worker.stop())[0]

    exit_codes = await asyncio.gather(*map(stop_at, starting, MOMENTS))
    assert exit_codes == [0] * len(MOMENTS), dict(zip(MOMENTS, exit_codes, strict=True))
    for worker in starting:
        assert "Traceback" not in worker.log, worker.name
    await starting[-1].start().wait_ready()
    await wait_counted([starting[-1]], servers, topic)
    assert await counts_of([starting[-1]]) == await recount(servers, topic)


async def test_http_ends_after_the_group_was_left(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, 1)
    worker = await workers().start().wait_ready()
    assert (await worker.stop())[0] == 0
    places = [worker.log.index(line) for line in ENDS]
    assert places == sorted(places)


async def test_sigterm_before_anything_was_assigned_ends_soon_although_the_broker_does_not_answer(
    own: tuple[EmbeddedBroker, KafkaClient, Workers],
) -> None:
    broker, kafka, workers = own
    await kafka.create_topic(workers.topic, 1)
    worker = workers(shutdown_timeout_s=60).start()

    async def connects() -> bool:
        return MOMENTS[2] in worker.log

    await wait_for(connects, "the consumer's thread started")
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        exit_code, took_s = await worker.stop()
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert exit_code == 0
    assert took_s < UNASSIGNED_STOP_S + 2


async def test_sigterm_while_the_broker_is_away_ends_in_time_and_loses_nothing(
    own: tuple[EmbeddedBroker, KafkaClient, Workers],
) -> None:
    broker, kafka, workers = own
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 4)
    worker = await workers(shutdown_timeout_s=SHUTDOWN_TIMEOUT_S).start().wait_ready()
    async with kafka.endless_lines(topic):
        await wait_records(worker, 500)
    await kafka.produce(topic, lines(2, 20_000), compression="lz4")
    broker.kill()
    exit_code, took_s = await worker.stop()
    assert exit_code in {0, EXIT_DEADLINE}
    assert took_s < SHUTDOWN_TIMEOUT_S + 2

    broker.start()
    await worker.start().wait_ready()
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)
    assert (await worker.stop())[0] == 0


async def test_a_worker_goes_on_after_its_broker_was_away_for_longer_than_the_session(
    own: tuple[EmbeddedBroker, KafkaClient, Workers],
) -> None:
    broker, kafka, workers = own
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 4)
    worker = await workers(session_timeout_ms=2000).start().wait_ready()
    async with kafka.endless_lines(topic):
        await wait_records(worker, 500)
    await kafka.produce(topic, lines(2, 50_000), compression="lz4")
    broker.kill()

    async def misses_broker() -> bool:
        return (await worker.get("/readyz")).json()["checks"]["broker"]["ok"] is False

    await wait_for(misses_broker, "the broker missed")
    assert await worker.status("/readyz") == 503
    assert await worker.status("/livez") == 200
    before = (await worker.stats())["records"]
    broker.start()
    await kafka.produce(topic, lines(3, 100))
    await worker.wait_ready()
    await wait_counted([worker], servers, topic)
    assert (await worker.stats())["records"] > before
    assert await counts_of([worker]) == await recount(servers, topic)
