"""Both ways to start a worker, with the topic, group and messages of the pattern that Wordcount is compared with."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.worker import DEADLINE_S, ROOT, WORKER_ENTRIES, counts_of, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

KEYS = [b"%d" % number for number in range(100)]
MESSAGES = [b"message %d" % number for number in range(100)]
COUNTS = {"message": 100} | {str(number): 1 for number in range(100)}


@pytest.fixture
def topic_name(topic_name: str) -> str:
    return f"stream_{topic_name}"


async def test_both_entry_points_give_the_same_answers(kafka: KafkaClient, workers: Workers) -> None:
    topic = workers.topic
    await kafka.create_topic(topic, 3)
    await kafka.produce(topic, MESSAGES, keys=KEYS)
    both = [
        workers(entry=entry, profile="java-s", group=f"flink_consumer-{topic}-{entry}")
        for entry in WORKER_ENTRIES
    ]
    for worker in both:
        worker.start()
    await asyncio.gather(*[worker.wait_ready() for worker in both])
    answers = []
    for worker in both:
        await wait_counted([worker], workers.bootstrap_servers, topic)
        assert await counts_of([worker]) == COUNTS
        stats = await worker.stats()
        assert (stats["records"], stats["words"], stats["complete"]) == (100, 200, True)
        paths = (
            "/v1/words/message",
            "/v1/words/7",
            "/v1/words?limit=1000",
            "/v1/top?k=3",
            "/v1/stats",
            "/readyz",
        )
        answers.append([(await worker.get(path)).json() for path in paths])
        answers[-1][-1].pop("checks")  # contains the age of the last heartbeat, which differs
    assert answers[0] == answers[1]
    assert answers[0][0]["count"] == 100
    assert answers[0][3]["words"] == [
        {"word": "message", "count": 100},
        {"word": "0", "count": 1},
        {"word": "1", "count": 1},
    ]
    assert [(await worker.stop())[0] for worker in both] == [0, 0]


async def test_console_mode_prints_every_update(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, 1)
    await kafka.produce(workers.topic, MESSAGES, keys=KEYS)
    worker = await workers(profile="java-s").start("--print-counts").wait_ready()
    printed: list[str] = []

    async def has_printed_all() -> bool:
        printed[:] = re.findall(r"^\(.*\)$", worker.stdout, re.MULTILINE)
        return len(printed) >= 200

    await wait_for(has_printed_all, "200 updates printed")
    assert printed == [
        update for number in range(100) for update in (f"(message,{number + 1})", f"({number},1)")
    ]
    assert (await worker.stop())[0] == 0
    # After a restart the totals go on from the former totals.
    await worker.start("--print-counts").wait_ready()
    await kafka.produce(workers.topic, [b"message 7"])
    await wait_for(lambda: _printed(worker.stdout, "(message,101)\n(7,2)\n"), "the total of both runs")


async def _printed(stdout: str, end: str) -> bool:
    return stdout.endswith(end)


async def test_a_message_sent_to_the_agent_is_counted(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, 2)
    worker = await workers(profile="whitespace").start().wait_ready()
    for entity, code in (("@count_words", 0), (workers.topic, 0), (f"{workers.topic}-nowhere", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "faust", "-A", "app.faust_entry", "send", entity, "hello there"],
            cwd=worker.state_dir.parent,
            env={"PYTHONPATH": str(ROOT), **worker.settings},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == code, done.stderr
    assert done.stderr.startswith(f'wordcount: there is no topic "{workers.topic}-nowhere"; create it')
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == {"hello": 2, "there": 2}
