"""Brokers that refuse a request or are misconfigured: one line names the cause, and the exit code says whether a restart helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.local.embedded import EmbeddedBroker
from tables.model.names import changelog_topic, dead_letter_topic
from tests.integration.commands import Wordcount, examine
from tests.integration.conftest import KafkaClient, Workers, close_all
from tests.integration.worker import DEADLINE_S, Worker, free_port, wait_counted

STRICT = {"message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": "0"}
"""A topic with these settings refuses a record whose timestamp is before its arrival, as if clocks differed.

The topic accepts a record that arrives in the millisecond of its timestamp.
"""


async def ended_by(worker: Worker, kafka: KafkaClient, topic: str, value: bytes) -> int:
    """Append records until a broker refuses what the worker makes of a record and the worker ends; return the exit code."""
    async with asyncio.timeout(2 * DEADLINE_S):
        while worker.is_running():
            await kafka.produce(topic, [value])
            await asyncio.sleep(0.3)
    return await worker.ended()


def last_line(log: str) -> str:
    return next(line for line in reversed(log.splitlines()) if line.startswith("wordcount:"))


@asynccontextmanager
async def one_broker(folder: Path, **settings: str) -> AsyncIterator[tuple[EmbeddedBroker, Workers]]:
    """Run a broker for one test alone; names in `settings` have an underscore instead of the dot."""
    broker = EmbeddedBroker(
        folder / "broker", settings={name.replace("_", "."): value for name, value in settings.items()}
    )
    try:
        await asyncio.to_thread(broker.start)
        made = Workers(folder, broker.bootstrap_servers, "texts")
        yield broker, made
        await close_all(made.made)
    finally:
        await asyncio.to_thread(broker.kill)


async def test_dead_letters_that_are_refused_end_the_worker_with_code_2(
    workers: Workers, kafka: KafkaClient
) -> None:
    await kafka.create_topic(workers.topic, 1)
    letters = dead_letter_topic(workers.group, workers.topic)
    await kafka.create_topic(letters, 1, STRICT)
    worker = workers(on_invalid_utf8="dead_letter").start()
    await worker.wait_ready()
    assert await ended_by(worker, kafka, workers.topic, b"\xff") == 2
    assert letters in last_line(worker.log)
    assert "time stamps" in last_line(worker.log)


async def test_a_changelog_that_refuses_ends_the_worker_with_code_2(
    workers: Workers, kafka: KafkaClient
) -> None:
    await kafka.create_topic(workers.topic, 1)
    changelog = changelog_topic(workers.group, workers.topic)
    await kafka.create_topic(changelog, 1, {"cleanup.policy": "compact", **STRICT})
    worker = workers().start()
    assert await ended_by(worker, kafka, workers.topic, b"word") == 2
    assert changelog in last_line(worker.log)


async def test_a_session_timeout_that_the_brokers_refuse_is_named(tmp_path: Path) -> None:
    async with one_broker(tmp_path, group_min_session_timeout_ms="6000") as (broker, made):
        await KafkaClient(broker.bootstrap_servers).create_topic("texts", 1)
        worker = made(session_timeout_ms=1500, flush_interval_ms=100).start()
        assert await worker.ended() == 2
        assert "WORDCOUNT_SESSION_TIMEOUT_MS" in last_line(worker.log)


async def test_a_group_that_is_full_is_named_and_the_others_count_on(tmp_path: Path) -> None:
    async with one_broker(tmp_path, group_max_size="1") as (broker, made):
        kafka = KafkaClient(broker.bootstrap_servers)
        await kafka.create_topic("texts", 1)
        first = await made().start().wait_ready()
        second = made().start()
        assert await second.ended() == 2
        assert "group.max.size" in last_line(second.log)
        await kafka.produce("texts", [b"word"])
        await wait_counted([first], broker.bootstrap_servers, "texts")


async def test_brokers_that_cannot_make_a_coordinator_are_named(tmp_path: Path) -> None:
    async with one_broker(tmp_path, offsets_topic_replication_factor="3") as (broker, made):
        await KafkaClient(broker.bootstrap_servers).create_topic("texts", 1)
        worker = made().start()
        assert await worker.ended(60) == 1
        assert "offsets.topic.replication.factor" in last_line(worker.log)
        checks = examine(Wordcount(broker.bootstrap_servers, "texts", tmp_path))
        check = checks["rights on group wordcount"]
        assert (check["status"], "__consumer_offsets" in check["detail"]) == ("fail", True)


async def test_an_advertised_address_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    async with one_broker(tmp_path, advertised_listeners=f"PLAINTEXT://{nowhere}") as (broker, made):
        worker = made().start()
        assert await worker.ended() == 1
        assert nowhere in last_line(worker.log)
        assert "advertised.listeners" in last_line(worker.log)
        wordcount = Wordcount(broker.bootstrap_servers, "texts", tmp_path)
        assert nowhere in examine(wordcount)["broker"]["detail"]
        sent = wordcount("produce", "-", stdin=b"word\n")
        assert (sent.returncode, nowhere in sent.stderr.decode()) == (1, True)
