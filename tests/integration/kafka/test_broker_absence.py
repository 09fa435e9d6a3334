"""Brokers that are silent, stopped, moved to other addresses or without the topic: all work that does not need them goes on."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.config.loading import load_settings
from app.kafka.admin import open_admin
from app.kafka.clients import connection, reader
from app.local.embedded import EmbeddedBroker
from tables.kafka.offsets import TopicOffsets
from tables.kafka.producer import ReplaceableProducer
from tables.model.names import changelog_topic, dead_letter_topic
from tests.chaos.proxy import TcpProxy
from tests.integration.brokers import Brokers
from tests.integration.commands import Wordcount, examine
from tests.integration.conftest import KafkaClient, Workers, close_all
from tests.integration.worker import Worker, end_offsets, free_port, wait_counted, wait_for

QUICK_S = 3.0
"""A silent server delays a client by half a second; a busy machine may add to this."""

STARTS = 5
"""Number of starts per client, because the server that is asked first is chosen at random."""


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(100)
        yield f"127.0.0.1:{server.getsockname()[1]}"


@asynccontextmanager
async def workers_of(folder: Path, servers: str) -> AsyncIterator[Workers]:
    made = Workers(folder, servers, "texts")
    try:
        yield made
    finally:
        await close_all(made.made)


async def test_a_silent_bootstrap_server_delays_no_client(
    broker: EmbeddedBroker, kafka: KafkaClient, topic_name: str, silent: str
) -> None:
    await kafka.create_topic(topic_name)
    settings = load_settings(bootstrap_servers=f"{silent},{broker.bootstrap_servers}", topic=topic_name)

    async def ask_admin() -> None:
        async with open_admin(settings) as admin:
            await admin.describe(topic_name)

    async def ask_offsets() -> None:
        offsets = TopicOffsets(connection(settings), 10)
        try:
            await offsets.bounds(topic_name, 0)
        finally:
            await offsets.close()

    async def produce() -> None:
        producer = ReplaceableProducer(connection(settings), 10)
        try:
            await (await producer.get()).send_and_wait(topic_name, b"word")
        finally:
            await producer.close()

    async def read() -> None:
        async with reader(settings, topic_name):
            pass

    for act in (ask_admin, ask_offsets, produce, read):
        for _ in range(STARTS):
            started = time.monotonic()
            await act()
            assert time.monotonic() - started < QUICK_S, act


async def test_a_worker_starts_beside_a_silent_bootstrap_server(
    workers: Workers, kafka: KafkaClient, silent: str
) -> None:
    await kafka.create_topic(workers.topic, 2)
    await kafka.produce(workers.topic, [b"a word"] * 10)
    worker = workers(bootstrap_servers=f"{silent},{kafka.bootstrap_servers}").start()
    await wait_counted([worker], kafka.bootstrap_servers, workers.topic)


async def test_brokers_that_all_have_other_addresses_are_found_again(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    proxy = TcpProxy(free_port(), ports[0])
    await proxy.start()
    broker = EmbeddedBroker(tmp_path / "broker", port=ports[0])
    try:
        await asyncio.to_thread(broker.start)
        async with workers_of(tmp_path, f"127.0.0.1:{proxy._port}") as made:
            await KafkaClient(broker.bootstrap_servers).create_topic("texts", 2)
            worker = await made().start().wait_ready()
            await asyncio.to_thread(broker.stop)
            broker = EmbeddedBroker(tmp_path / "broker", port=ports[1])
            proxy._target_port = ports[1]
            await asyncio.to_thread(broker.start)
            await KafkaClient(broker.bootstrap_servers).produce("texts", [b"one two"] * 50)
            await wait_counted([worker], broker.bootstrap_servers, "texts")
            await worker.wait_ready()
    finally:
        await proxy.close()
        await asyncio.to_thread(broker.kill)


async def test_a_view_answers_and_is_ready_while_brokers_are_away_and_follows_again_afterwards(
    tmp_path: Path,
) -> None:
    broker = EmbeddedBroker(tmp_path / "broker", port=free_port())
    try:
        await asyncio.to_thread(broker.start)
        servers = broker.bootstrap_servers
        async with workers_of(tmp_path, servers) as made:
            await KafkaClient(servers).create_topic("texts", 2)
            worker, view = made().start(), made(entry="view").start()
            await KafkaClient(servers).produce("texts", [b"one two"] * 50)
            await wait_counted([worker, view], servers, "texts")
            await view.wait_ready()
            await asyncio.to_thread(broker.kill)

            async def noticed() -> bool:
                check = (await view.get("/readyz")).json()["checks"]["broker"]
                return " s ago: " in check["detail"]

            await wait_for(noticed, "the view says that no broker answers")
            assert await view.status("/readyz") == 200
            answer = await view.json("/v1/words/two")
            assert answer["count"] == 50
            assert min(each["seconds"] for each in answer["behind"].values()) > 0
            await asyncio.to_thread(broker.start)
            await KafkaClient(servers).produce("texts", [b"one two"] * 50)
            await wait_counted([worker, view], servers, "texts")
    finally:
        await asyncio.to_thread(broker.kill)


async def test_a_topic_that_is_deleted_is_not_made_again_by_asking_for_it(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "broker", settings={"auto.create.topics.enable": "true"}) as broker:
        kafka = KafkaClient(broker.bootstrap_servers)
        async with workers_of(tmp_path, broker.bootstrap_servers) as made:
            await kafka.create_topic("texts", 2)
            worker = await made().start().wait_ready()
            await kafka.produce("texts", [b"one two"] * 50)
            await wait_counted([worker], broker.bootstrap_servers, "texts")
            await kafka.delete_topic("texts")
            settings = load_settings(bootstrap_servers=broker.bootstrap_servers)
            async with open_admin(settings) as admin:
                for _ in range(30):
                    assert (await admin.describe("texts"))["texts"].partitions == 0
                    await asyncio.sleep(0.2)


async def create(servers: str, name: str, replicas: dict[int, list[int]], **config: str) -> None:
    """Create a topic with the given replicas of each partition; names in `config` have an underscore instead of the dot."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        settings = {key.replace("_", "."): value for key, value in config.items()}
        answer = await admin.create_topics([NewTopic(name, -1, -1, replicas, settings)])
    finally:
        await admin.close()
    assert [error[1] for error in answer.topic_errors] == [0], answer


def names(made: Workers) -> tuple[str, str]:
    return changelog_topic(made.group, "texts"), dead_letter_topic(made.group, "texts")


async def position(worker: Worker, partition: int) -> int:
    return int((await worker.stats())["as_of"].get(str(partition), 0))


@pytest.mark.parametrize("leader", [1, 2], ids=["changelog without a leader", "both without a leader"])
async def test_a_partition_without_a_leader_hinders_no_start_and_ends_nobody(
    tmp_path: Path, leader: int
) -> None:
    with Brokers(tmp_path, 2, controllers=1, settings={"min.insync.replicas": "1"}) as brokers:
        servers = brokers.bootstrap_servers
        async with workers_of(tmp_path, servers) as made:
            changelog, letters = names(made)
            await create(servers, "texts", {0: [1], 1: [leader]})
            await create(servers, changelog, {0: [1], 1: [2]}, cleanup_policy="compact")
            await create(servers, letters, {0: [2]})
            for partition in range(2):
                await KafkaClient(servers).produce("texts", [b"one two"] * 5, partition=partition)
            await made().start().wait_ready()  # creates the topic of offsets on both brokers
            await made.made[0].stop()
            await asyncio.to_thread(brokers.nodes[2].kill)
            for partition in range(leader % 2 + 1):  # the partitions whose input has a leader
                await KafkaClient(servers).produce("texts", [b"one two"] * 5, partition=partition)
            worker = made(stall_timeout_s=5).start()

            async def counted() -> bool:
                return await position(worker, 0) == 10

            await wait_for(counted, "the partition that has a leader is counted")
            await asyncio.sleep(12)
            assert worker.is_running(), worker.log
            if leader == 2:
                checks = examine(Wordcount(servers, "texts", tmp_path), group=made.group)
                assert checks["topic texts"]["detail"] == "partitions without a leader: 1"
            await asyncio.to_thread(brokers.nodes[2].start)
            await wait_counted([worker], servers, "texts")


async def test_too_few_in_sync_replicas_are_named_and_waited_for(tmp_path: Path) -> None:
    with Brokers(tmp_path, 2, controllers=1, settings={"min.insync.replicas": "1"}) as brokers:
        servers = brokers.bootstrap_servers
        async with workers_of(tmp_path, servers) as made:
            changelog, letters = names(made)
            await create(servers, "texts", {0: [1]})
            await create(servers, changelog, {0: [1, 2]}, cleanup_policy="compact", min_insync_replicas="2")
            await create(servers, letters, {0: [1]})
            worker = await made(stall_timeout_s=5).start().wait_ready()
            await asyncio.to_thread(brokers.nodes[2].kill)
            await KafkaClient(servers).produce("texts", [b"one two"] * 5)

            async def named() -> bool:
                assert worker.is_running()
                return f"{changelog} takes no writes: too few in-sync replicas" in worker.log

            await wait_for(named, "the log says what is missing")
            await asyncio.sleep(6)
            assert worker.is_running(), "a broker that is away is waited for"
            check = examine(Wordcount(servers, "texts", tmp_path), group=made.group)["in-sync replicas"]
            assert (check["status"], changelog in check["detail"]) == ("fail", True)
            await asyncio.to_thread(brokers.nodes[2].start)
            await wait_counted([worker], servers, "texts")
            assert await end_offsets(servers, "texts") == {0: 5}


LINES_WHILE_AWAY = 12
"""Most lines of the log while the broker is away: a line per cause, such as connection, heartbeat, coordinator and metadata."""


@pytest.mark.parametrize("entry", ["wordcount", "faust"])
async def test_the_log_says_each_thing_once_while_the_broker_is_away(tmp_path: Path, entry: str) -> None:
    with EmbeddedBroker(tmp_path / "broker") as broker:
        async with workers_of(tmp_path, broker.bootstrap_servers) as made:
            await KafkaClient(broker.bootstrap_servers).create_topic("texts", 8)
            worker = await made(entry=entry).start().wait_ready()
            await KafkaClient(broker.bootstrap_servers).produce("texts", [b"one two"] * 50)
            await wait_counted([worker], broker.bootstrap_servers, "texts")
            before = len(worker.log.splitlines())
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(15)
            lines = worker.log.splitlines()[before:]
            assert lines, "that something is wrong is said"
            assert len(lines) <= LINES_WHILE_AWAY, "\n".join(lines)
