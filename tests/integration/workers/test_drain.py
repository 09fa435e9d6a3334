"""What clients see of a worker, or a view, that goes on for a while after SIGTERM."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.integration.worker import wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

DRAIN_S = 3


@pytest.mark.parametrize("entry", ["wordcount", "view"])
async def test_each_answer_is_the_last_of_its_connection_while_a_process_drains(
    kafka: KafkaClient, workers: Workers, entry: str
) -> None:
    await kafka.create_topic(workers.topic, 2)
    await kafka.produce(workers.topic, [b"a fox and a dog"] * 10)
    counting = workers(drain_s=DRAIN_S if entry == "wordcount" else 0)
    await counting.start().wait_ready()
    await wait_counted([counting], workers.bootstrap_servers, workers.topic)
    draining = counting
    if entry == "view":
        draining = await workers(entry=entry, drain_s=DRAIN_S).start().wait_ready()
    url = f"http://127.0.0.1:{draining.port}"
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        assert "connection" not in (await client.get(f"{url}/v1/words/fox")).headers
        stopping = asyncio.create_task(draining.stop())
        while (await client.get(f"{url}/readyz")).status_code == 200:
            await asyncio.sleep(0.01)
        drained_s = asyncio.get_running_loop().time() + DRAIN_S - 0.5
        answers = 0
        while asyncio.get_running_loop().time() < drained_s:
            answer = await client.get(f"{url}/v1/words/fox")
            assert answer.status_code == 200, answer.text
            assert answer.json()["count"] == 10
            assert answer.headers["connection"] == "close"
            answers += 1
            await asyncio.sleep(0.02)
        assert answers > 10
    exit_code, took_s = await stopping
    assert exit_code == 0
    assert took_s >= DRAIN_S
