"""Helpers for tests of hostile input: fill a partition, read the peak memory, look for forged log lines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from tests.integration.worker import (
    Worker,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Workers

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters, which no line of a log may contain."""


async def fill(workers: Workers, partition: int, values: Iterable[bytes | None]) -> int:
    """Append many small records in large batches; return their number."""
    count = 0
    async with AIOKafkaProducer(
        bootstrap_servers=workers.bootstrap_servers,
        acks="all",
        compression_type="lz4",
        max_batch_size=900_000,
    ) as producer:
        sent = []
        batch = producer.create_batch()
        for value in values:
            count += 1
            if batch.append(key=None, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batch, workers.topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=None, value=value, timestamp=None)
        sent.append(await producer.send_batch(batch, workers.topic, partition=partition))
        await asyncio.gather(*sent)
    return count


def peak_mb(worker: Worker) -> float:
    """Return the largest resident memory that the process has had so far, in MiB."""
    status = Path(f"/proc/{worker.pid}/status").read_text("ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def assert_log_is_not_forged(worker: Worker) -> None:
    forged = [line for line in worker.log.split("\n") if CONTROL.search(line)]
    assert not forged, forged[0]


async def stopped(worker: Worker, *numbers: int) -> str:
    """Wait until exactly these partitions are stopped; return the last log line about a stopped partition."""

    async def are_stopped() -> bool:
        states = {number: partition["state"] for number, partition in (await worker.partitions()).items()}
        return {number for number, state in states.items() if state == "stopped"} == set(numbers)

    await wait_for(are_stopped, f"partitions {numbers} stopped")
    return [line for line in worker.log.splitlines() if "partition stopped" in line][-1]
