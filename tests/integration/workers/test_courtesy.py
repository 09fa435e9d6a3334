"""A worker whose questions find its event loop late pauses between flushes, and counts on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from tests.integration.worker import wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

LATE_S = 0.1
"""How late the event loop runs each time: the process stands still."""

MOST_QUESTIONS = 50


async def test_late_answers_lead_to_pauses_and_the_counts_are_whole(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 2)
    await kafka.produce(workers.topic, [b"a fox and a dog"] * 10)
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{worker.port}", trust_env=False, timeout=5
    ) as client:
        asked = 0
        while (await worker.metrics())["wordcount_flush_pause_ratio"] < 2:
            asked += 1
            assert asked < MOST_QUESTIONS, "questions that find the event loop late lead to no pauses"
            worker.pause()
            questions = [asyncio.create_task(client.get("/v1/words/fox")) for _ in range(5)]
            await asyncio.sleep(LATE_S)
            worker.resume()
            assert {answer.status_code for answer in await asyncio.gather(*questions)} == {200}
        await kafka.produce(workers.topic, [b"a fox and a dog"] * 1000)
        await wait_counted([worker], workers.bootstrap_servers, workers.topic)
