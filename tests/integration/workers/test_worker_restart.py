"""One worker counts exactly after a restart, after the loss of its state folder, and when stopped while records keep coming."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

from tests.integration.worker import counts_of, lines, positions_of, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 4


async def test_a_restart_continues_where_the_counts_are(kafka: KafkaClient, workers: Workers) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    await kafka.produce(topic, lines(1, 500))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    first, positions = await counts_of([worker]), await positions_of([worker])
    assert first == await recount(servers, topic)
    assert (await worker.stop())[0] == 0

    await worker.start().wait_ready()
    assert await positions_of([worker]) == positions
    assert await counts_of([worker]) == first
    assert (await worker.metrics())["wordcount_records_read_total"] == 0  # nothing was read again
    await kafka.produce(topic, lines(2, 300))
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)
    stats = await worker.stats()
    assert stats["records"] == 800
    assert stats["words"] == 8000
    assert stats["complete"] is True


async def test_without_its_state_folder_a_worker_rebuilds_it_from_the_changelog(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    worker = await workers().start().wait_ready()
    for seed in range(5):  # several flushes, so that words have several rows in the changelog
        await kafka.produce(topic, lines(seed, 200))
        await wait_counted([worker], servers, topic)
    counts, before = await counts_of([worker]), await worker.stats()
    await worker.stop()
    shutil.rmtree(worker.state_dir)

    await worker.start().wait_ready()
    after = await worker.stats()
    assert await counts_of([worker]) == counts == await recount(servers, topic)
    assert {name: after[name] for name in ("records", "words", "as_of")} == {
        name: before[name] for name in ("records", "words", "as_of")
    }
    metrics = await worker.metrics()
    assert metrics["wordcount_records_read_total"] == 0
    assert metrics["wordcount_restored_rows_total"] >= len(counts)


async def test_stopping_while_records_keep_coming_loses_and_doubles_nothing(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    worker = workers()
    async with kafka.endless_lines(topic):
        # The second signal of an impatient operator does not cut the last flush short.
        for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]):
            await worker.start().wait_ready()
            before = (await worker.stats())["records"]

            async def counts_more(before: int = before) -> bool:
                return int((await worker.stats())["records"]) > before

            await wait_for(counts_more, "records counted")
            for number in signals:
                worker.signal(number)
            assert await worker.ended() == 0
    await worker.start().wait_ready()
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)
