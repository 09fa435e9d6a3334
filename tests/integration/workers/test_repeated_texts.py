"""A request that is sent again and again, at any worker and through kills, is counted once, and `wordcount verify` agrees."""

from __future__ import annotations

import asyncio
import json
from itertools import cycle
from typing import TYPE_CHECKING

import httpx

from tests.integration.commands import Wordcount
from tests.integration.conftest import Workers
from tests.integration.worker import Worker, wait_counted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import KafkaClient

REQUESTS = 100
KILLS = {10: 0, 40: 1, 70: 2}
"""After how many requests which worker is killed in the midst of one; it is started again at once."""

BODY = json.dumps({"texts": ["once upon a time", "once more", ""]}).encode()


async def accepted(worker: Worker, key: str) -> bool:
    """Send the request, and return whether the worker has taken it."""
    try:
        reply = await worker.post("/v1/texts", BODY, "application/json", Idempotency_Key=key)
    except httpx.TransportError:
        return False
    assert reply.status_code in {202, 503}, reply.text
    return reply.status_code == 202


async def test_a_request_sent_a_hundred_times_at_three_workers_through_kills_is_counted_once(
    kafka: KafkaClient, workers: Workers, tmp_path: Path
) -> None:
    await kafka.create_topic(workers.topic, 4)
    three = [await workers(ingest="true", windows="1m").start().wait_ready() for _ in range(3)]
    asked, sent = cycle(three), 0
    while sent < REQUESTS:
        if (place := KILLS.get(sent)) is not None and three[place].is_running():
            under_way = asyncio.create_task(accepted(three[place], "tale"))
            await asyncio.sleep(0.01)
            await three[place].kill()
            sent += await under_way + await accepted(three[place - 1], "tale")
            three[place].start()
        sent += await accepted(next(asked), "tale")
    for worker in three:
        await worker.wait_ready()
    # A worker that has just come back, or loses partitions, may say that it cannot take texts.
    while not await accepted(three[0], "another-tale"):
        await asyncio.sleep(0.1)
    await wait_counted(three, kafka.bootstrap_servers, workers.topic)
    for worker in three:
        assert (await worker.json("/v1/words/once"))["count"] == 4
    (minutes,) = [
        sum(window["count"] for window in answer["windows"])
        for answer in [await three[1].json("/v1/words/once/windows", size="1m", last=30)]
    ]
    assert minutes == 4
    records = len(await kafka.read_all(workers.topic))
    assert records >= 3 * (REQUESTS + 1)
    stats = await three[2].json("/v1/stats")
    assert (stats["records"], stats["counted"], stats["skipped"]) == (
        records,
        6,
        {"duplicate": records - 6},
    )
    verified = Wordcount(kafka.bootstrap_servers, workers.topic, tmp_path)(
        "verify", "--windows", group=workers.group, windows="1m", profile="whitespace"
    )
    assert verified.returncode == 0, verified.stdout.decode()
