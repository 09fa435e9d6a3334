"""Read-your-writes: a record is soon in the answers, and answers never go back, even after SIGKILL and loss of the state folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.integration.worker import Worker, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

ROUNDS = 5
FRESH_S = 1.5
"""The workers' flush interval of 100 ms, and the delay that two busy cores may add."""


async def read_own(worker: Worker, partition: int, offset: int, word: str) -> tuple[int, float]:
    """Ask for `word` until the answer contains the record at `offset`; return the count and the seconds that this took."""
    answer: dict[str, object] = {}

    async def is_in() -> bool:
        nonlocal answer
        answer = (await worker.get(f"/v1/words/{word}")).json()
        as_of = answer["as_of"]
        assert isinstance(as_of, dict)
        return int(as_of.get(str(partition), 0)) > offset

    took_s = await wait_for(is_in, f"offset {offset} of partition {partition} counted")
    count = answer["count"]
    assert isinstance(count, int)
    return count, took_s


async def test_a_record_is_in_the_answers_within_the_flush_interval(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 2)
    worker = await workers().start().wait_ready()
    times = []
    for number in range(ROUNDS):
        ((partition, offset),) = await kafka.produce(workers.topic, [b"own words own"], partition=number % 2)
        count, took_s = await read_own(worker, partition, offset, "own")
        assert count == 2 * (number + 1)
        times.append(took_s)
    assert sorted(times)[ROUNDS // 2] < FRESH_S, times


async def test_no_answer_goes_back_over_sigkill_and_a_lost_state_folder(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    worker = await workers().start().wait_ready()
    for number in range(2):
        ((partition, offset),) = await kafka.produce(workers.topic, [b"kept"])
        count, _ = await read_own(worker, partition, offset, "kept")
        await worker.kill()
        if number:
            shutil.rmtree(worker.state_dir)
        await worker.start().wait_ready()
        await wait_counted([worker], workers.bootstrap_servers, workers.topic)
        assert (await worker.json("/v1/words/kept"))["count"] == count == number + 1
        # The counts came from the store or the changelog: no record was read again.
        assert (await worker.metrics())["wordcount_records_read_total"] == 0
