"""Actions of an operator on topics and on the command line: delete or extend a topic, delete records, run a command."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from app.config.loading import load_settings
from app.kafka.admin import open_admin
from tests.integration.worker import DEADLINE_S, ROOT, Worker, wait_for

COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]


async def delete_topic(bootstrap_servers: str, topic: str) -> None:
    """Delete a topic, and return when it is gone."""
    async with open_admin(load_settings(bootstrap_servers=bootstrap_servers)) as admin:
        assert await admin.delete_topic(topic)


async def delete_records(bootstrap_servers: str, topic: str, before: Mapping[int, int]) -> None:
    """Delete the records below an offset (exclusive) of each partition, as retention does; `before` maps partition to offset."""
    records = {TopicPartition(topic, number): RecordsToDelete(offset) for number, offset in before.items()}
    async with _admin(bootstrap_servers) as admin:
        await admin.delete_records(records)


async def extend_topic(bootstrap_servers: str, topic: str, partitions: int) -> None:
    """Add partitions to a topic until it has `partitions` in all."""
    async with _admin(bootstrap_servers) as admin:
        await admin.create_partitions({topic: NewPartitions(partitions)})


async def append(bootstrap_servers: str, topic: str, partition: int, key: bytes, value: bytes) -> None:
    """Append one record, and return when it is acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer:
        await producer.send_and_wait(topic, value, key, partition)


def wordcount(worker: Worker, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of a worker; `settings` are variables that replace them. Return the ended command."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=worker.state_dir.parent,
        env={"PYTHONPATH": str(ROOT), **worker.settings, **settings},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


async def stopped(worker: Worker, *numbers: int) -> str:
    """Wait until exactly these partitions are stopped; return the detail in /readyz, which must name each partition and the remedy."""
    detail = ""

    async def are_stopped() -> bool:
        nonlocal detail
        if await worker.status("/readyz") is None:
            return False
        detail = (await worker.get("/readyz")).json()["checks"]["restored"]["detail"]
        return {int(number) for number in re.findall(r"stopped: (\d+) \(", detail)} == set(numbers)

    await wait_for(are_stopped, f"partitions {numbers} stopped")
    for number in numbers:
        named = rf"stopped: {number} \(.*{worker.settings['WORDCOUNT_TOPIC']} partition {number}\b.*wordcount reset"
        assert re.search(named, detail), detail
    return detail


async def wait_logged(worker: Worker, text: str) -> None:
    """Wait until the worker's log has `text`."""

    async def logged() -> bool:
        return text in worker.log

    await wait_for(logged, f"{text!r} in the log of {worker.name}")


@asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
