"""Workers and clients over TLS: a restore takes little longer than without TLS, and workers, commands and clients end at once."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.config.loading import load_settings
from app.kafka.admin import open_admin
from app.kafka.clients import connection
from tables.kafka.offsets import TopicOffsets
from tables.model.names import changelog_topic, dead_letter_topic
from tests.integration.operator_tools import wordcount
from tests.integration.secured import CERTIFICATE_PRINCIPAL, PRINCIPAL
from tests.integration.worker import counts_of, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.config.settings import Settings
    from tests.integration.conftest import KafkaClient, Workers
    from tests.integration.secured import SecuredBroker

PARTITIONS = 32
WORDS = 10_000
ATTEMPTS = 3
"""Number of measured ratios, of which the smallest counts, because other processes use the two cores too."""

LONGEST_RATIO = 1.5
VERIFY_S = 14.0
"""Longest time of `wordcount verify`: 3 s on two quiet cores; 19 s if each partition waited for half a second."""

STOP_S = 0.4
"""Longest stop of a client; waiting for an answer that is under way would take 0.5 s with asyncio and 30 s with uvloop."""


async def _worker_rights(secured: SecuredBroker, workers: Workers, principal: str) -> None:
    topic, group = workers.topic, workers.group
    names = (topic, changelog_topic(group, topic), dead_letter_topic(group, topic))
    await secured.grant(
        *(("All", "topic", name) for name in names), ("All", "group", group), principal=principal
    )


async def test_many_partitions_are_restored_over_mtls_as_over_plain_connections(
    secured: SecuredBroker, secured_workers: Workers, kafka_at: Callable[[str], KafkaClient]
) -> None:
    topic = secured_workers.topic
    kafka = kafka_at(secured.open_servers)
    await kafka.create_topic(topic, PARTITIONS)
    text = b" ".join(b"word%d" % number for number in range(WORDS))
    for partition in range(PARTITIONS):
        await kafka.produce(topic, [text], partition=partition)
    await _worker_rights(secured, secured_workers, CERTIFICATE_PRINCIPAL)
    plain, mtls = secured_workers(), secured_workers(**secured.mtls())
    await plain.start().wait_ready()
    await wait_counted([plain], secured.open_servers, topic)
    await plain.stop()

    async def restored_s(worker: Any) -> float:
        shutil.rmtree(worker.state_dir, ignore_errors=True)
        await worker.start().wait_ready()
        took_s = time.monotonic() - worker.started_at
        assert (await worker.stats())["records"] == PARTITIONS
        code, stopped_s = await worker.stop()
        assert (code, stopped_s < 5) == (0, True), stopped_s
        return took_s

    ratios: list[float] = []
    while len(ratios) < ATTEMPTS and min(ratios, default=9) > LONGEST_RATIO:
        plain_s = await restored_s(plain)
        ratios.append(await restored_s(mtls) / plain_s)
    assert min(ratios) <= LONGEST_RATIO, ratios

    # A worker also stops at once in the middle of a restore.
    shutil.rmtree(mtls.state_dir)
    mtls.start()

    async def restoring() -> bool:
        return await mtls.status("/livez") == 200 and "restoring " in (await mtls.get("/readyz")).text

    await wait_for(restoring, "a restore that has begun")
    code, stopped_s = await mtls.stop()
    assert (code, stopped_s < 5) == (0, True), stopped_s

    started = time.monotonic()
    verified = wordcount(mtls, "verify")
    assert verified.returncode == 0, verified
    assert time.monotonic() - started < VERIFY_S


async def test_workers_with_a_login_over_tls_join_die_and_come_back(
    secured: SecuredBroker, secured_workers: Workers, kafka_at: Callable[[str], KafkaClient]
) -> None:
    topic, servers, kafka = secured_workers.topic, secured.open_servers, kafka_at(secured.open_servers)
    await kafka.create_topic(topic, 4)
    await _worker_rights(secured, secured_workers, PRINCIPAL)
    made = [secured_workers(**secured.sasl(mechanism)) for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    await made[0].start().wait_ready()
    async with kafka.endless_lines(topic):
        await made[1].start().wait_ready()
        await made[0].kill()
        shutil.rmtree(made[0].state_dir)
        await made[0].start().wait_ready()
    await wait_counted(made, servers, topic)
    assert await counts_of(made) == await recount(servers, topic)
    for worker in made:
        assert await worker.stop() < (0, 10)


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
async def test_every_client_stops_at_once_over_tls(
    secured: SecuredBroker,
    kafka_at: Callable[[str], KafkaClient],
    topic_name: str,
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    kafka = kafka_at(secured.open_servers)
    await kafka.create_topic(topic_name)
    await kafka.produce(topic_name, [b"a"])
    await secured.grant(("All", "topic", topic_name), principal=CERTIFICATE_PRINCIPAL)
    settings = load_settings(**secured.mtls())

    def run() -> list[tuple[float, str]]:
        with asyncio.Runner(loop_factory=loop) as runner:
            return [
                (runner.run(_stop_s(used, settings, topic_name)), used.__name__)
                for _ in range(3)
                for used in (_consumer, _producer, _offsets, _admin)
            ]

    stopped_s = await asyncio.to_thread(run)
    assert max(stopped_s) < (STOP_S, ""), stopped_s


async def _stop_s(
    used: Callable[[Settings, str], Awaitable[Callable[[], Awaitable[object]]]],
    settings: Settings,
    topic: str,
) -> float:
    stop = await used(settings, topic)
    started = time.monotonic()
    await stop()
    return time.monotonic() - started


async def _consumer(settings: Settings, topic: str) -> Callable[[], Awaitable[object]]:
    consumer = AIOKafkaConsumer(**connection(settings), auto_offset_reset="none", enable_auto_commit=False)
    await consumer.start()
    tp = TopicPartition(topic, 0)
    consumer.assign([tp])
    consumer.seek(tp, 0)
    assert await consumer.getmany(tp, timeout_ms=200)
    return consumer.stop


async def _producer(settings: Settings, topic: str) -> Callable[[], Awaitable[object]]:
    producer = AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(topic, b"b")
    return producer.stop


async def _offsets(settings: Settings, topic: str) -> Callable[[], Awaitable[object]]:
    offsets = TopicOffsets(connection(settings), 10)
    assert (await offsets.bounds(topic, 0))[0] == 0
    return offsets.close


async def _admin(settings: Settings, topic: str) -> Callable[[], Awaitable[object]]:
    opened = open_admin(settings)
    admin = await opened.__aenter__()
    assert (await admin.describe(topic))[topic].partitions == 1

    async def close() -> None:
        await opened.__aexit__(None, None, None)

    return close
