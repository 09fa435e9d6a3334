"""Windows beside a real broker: any worker and a view tell the same words, also after SIGKILL and without a state folder."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from tests.integration.worker import Worker, lines, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 3
START_S = 1_767_225_600
"""2026-01-01T00:00:00Z."""
MINUTES = 6
LINES = 50
"""Lines of a minute and partition."""

Minutes = Mapping[int, Counter[str]]


async def produced(kafka: KafkaClient, topic: str, first: int, minutes: int) -> Minutes:
    """Send lines with ascending times to each partition; return the words of each minute."""
    truth: dict[int, Counter[str]] = defaultdict(Counter)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        for minute in range(first, first + minutes):
            for partition in range(PARTITIONS):
                for number, line in enumerate(lines(minute * PARTITIONS + partition, LINES, vocabulary=40)):
                    time_ms = (START_S + 60 * minute) * 1000 + 60_000 * number // LINES
                    await producer.send(topic, line, partition=partition, timestamp_ms=time_ms)
                    truth[minute].update(line.decode().split())
        await producer.flush()
    return truth


async def top(worker: Worker, minute: int, **parameters: Any) -> Any:
    start = f"2026-01-01T00:{minute:02}:00Z"
    return await worker.json("/v1/windows/1m/top", at=start, k=10, **parameters)


def first_words(words: Counter[str], k: int) -> list[tuple[str, int]]:
    return sorted(words.items(), key=lambda pair: (-pair[1], pair[0].encode()))[:k]


async def look_at(worker: Worker, truth: Minutes, closed: int) -> None:
    """Compare all minutes with the truth; those before `closed` are final."""
    for minute, words in truth.items():
        answer = await top(worker, minute)
        told = [(one["word"], one["count"]) for one in answer["words"]]
        assert told == first_words(words, 10), (worker.name, minute)
        assert (answer["exact"], answer["final"], answer["whole"]) == (True, minute < closed, True), answer
    word = first_words(truth[0], 1)[0][0]
    series = await worker.json(f"/v1/words/{word}/windows", size="1m", last=len(truth))
    assert [one["count"] for one in series["windows"]] == [truth[minute][word] for minute in sorted(truth)]


async def test_all_workers_and_a_view_tell_the_same_windows_also_after_a_kill(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS, {"retention.ms": "-1"})
    settings = {"windows": "1m,3m/1m", "grace": "5s"}
    both = [workers(**settings).start(), workers(**settings).start()]
    for worker in both:
        await worker.wait_ready()
    truth = dict(await produced(kafka, workers.topic, 0, MINUTES))
    await wait_counted(both, workers.bootstrap_servers, workers.topic)
    for worker in both:
        await look_at(worker, truth, MINUTES - 1)
    newest = await both[0].json("/v1/windows/3m/1m/top", k=10)
    assert (newest["start"], newest["end"]) == ("2026-01-01T00:02:00Z", "2026-01-01T00:05:00Z")
    summed = truth[2] + truth[3] + truth[4]
    assert [(one["word"], one["count"]) for one in newest["words"]] == first_words(summed, 10)
    sizes = (await both[1].json("/v1/windows"))["sizes"]
    assert [one["size"] for one in sizes] == ["1m", "3m/1m"]

    view = await workers(entry="view").start().wait_ready()

    async def caught_up() -> bool:
        return bool((await view.stats())["as_of"] == (await both[0].stats())["as_of"])

    await wait_for(caught_up, "the view has read the last flush")
    await look_at(view, truth, MINUTES - 1)

    await both[0].kill()
    shutil.rmtree(both[0].state_dir)
    await both[0].start().wait_ready()
    truth |= await produced(kafka, workers.topic, MINUTES, 1)
    await wait_counted(both, workers.bootstrap_servers, workers.topic)
    for worker in both:
        await look_at(worker, truth, MINUTES)
