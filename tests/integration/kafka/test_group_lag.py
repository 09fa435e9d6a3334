"""The lag of the consumer group: the committed offsets that other tools see, and records of an open transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.integration.operator_tools import delete_records, wordcount
from tests.integration.worker import counts_of, end_offsets, lines, positions_of, recount, wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

STALL_TIMEOUT_S = 5


async def committed(workers: Workers, partitions: int) -> dict[int, int | None]:
    """Return the group's committed offset of each partition; None if the group has committed no offset."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=workers.bootstrap_servers, group_id=workers.group, enable_auto_commit=False
    )
    async with consumer:
        return {
            number: await consumer.committed(TopicPartition(workers.topic, number))
            for number in range(partitions)
        }


async def test_an_open_transaction_is_waited_for(kafka: KafkaClient, workers: Workers) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    await kafka.produce(topic, lines(1, 20), partition=0)
    await kafka.produce(topic, lines(2, 20), partition=1)
    worker = await workers(stall_timeout_s=STALL_TIMEOUT_S).start().wait_ready()
    await wait_counted([worker], servers, topic)
    async with AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"tx-{topic}") as producer:
        await producer.begin_transaction()
        await asyncio.gather(*[await producer.send(topic, line, partition=0) for line in lines(3, 20)])
        await asyncio.sleep(2 * STALL_TIMEOUT_S + 2)
        assert worker.is_running(), worker.log
        assert (await positions_of([worker]))[0] == 20
        await worker.stop()
        # An open transaction is no stall for a worker either that starts while the transaction is open.
        await worker.start().wait_ready()
        await asyncio.sleep(2 * STALL_TIMEOUT_S + 2)
        assert worker.is_running(), worker.log
        metrics = await worker.metrics()
        assert metrics['wordcount_lag_records{partition="0"}'] == 0
        await producer.commit_transaction()
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)


async def test_every_partition_has_a_committed_offset_once_it_is_assigned(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 3)
    await kafka.produce(topic, lines(1, 30), partition=1)
    await kafka.produce(topic, lines(2, 10), partition=2)
    await delete_records(servers, topic, {1: 30})
    ends = await end_offsets(servers, topic)
    assert ends == {0: 0, 1: 30, 2: 10}
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    assert await committed(workers, 3) == ends

    await worker.stop()
    done = await asyncio.to_thread(wordcount, worker, "reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert await committed(workers, 3) == {0: None, 1: None, 2: None}
    await worker.start().wait_ready()
    await wait_counted([worker], servers, topic)
    assert await committed(workers, 3) == ends
