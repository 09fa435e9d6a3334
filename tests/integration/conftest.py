"""Fixtures of the integration tests: shared brokers, clients that fill and read topics, and workers."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.config.loading import load_settings
from app.config.settings import Settings
from app.local.embedded import EmbeddedBroker
from tests.integration.commands import Wordcount
from tests.integration.secured import SecuredBroker
from tests.integration.worker import COMMANDS, Worker, end_offsets, lines

# With these settings compaction and retention act within seconds. The active segment still rolls only when a record is appended.
EAGER_CLEANING = {
    "log.cleaner.backoff.ms": "100",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "100",
}
READ_TIMEOUT_S = 60
LOG_CHARACTERS = 12_000


class KafkaClient:
    """Creates, fills and reads topics of the broker at `bootstrap_servers`."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    async def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
            async with asyncio.timeout(READ_TIMEOUT_S):
                while name not in await admin.list_topics():  # the broker learns of the new topic later
                    await asyncio.sleep(0.01)
        finally:
            await admin.close()
        assert [error[:2] for error in answer.topic_errors] == [(name, 0)], answer

    async def alter_topic(self, name: str, config: Mapping[str, str]) -> None:
        """Replace the configuration of a topic; settings that `config` does not name get the broker's defaults."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            (answer,) = await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, dict(config))]
            )
        finally:
            await admin.close()
        assert [resource[0] for resource in answer.resources] == [0], answer

    async def delete_topic(self, name: str) -> None:
        """Delete a topic, and wait until another topic with its name can be created."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_topics([name])
            async with asyncio.timeout(READ_TIMEOUT_S):
                while name in await admin.list_topics():
                    await asyncio.sleep(0.05)
        finally:
            await admin.close()

    async def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        keys: Iterable[bytes | None] = itertools.repeat(None),
        times: Iterable[int | None] = itertools.repeat(None),
        partition: int | None = None,
        compression: str | None = None,
    ) -> list[tuple[int, int]]:
        """Append records; return (partition, offset) of each when all are acknowledged.

        `keys` and `times`, in milliseconds since 1970, must not be shorter than `values`.
        """
        async with AIOKafkaProducer(
            bootstrap_servers=self.bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            compression_type=compression,
        ) as producer:
            sent = [
                await producer.send(topic, value, key=key, partition=partition, timestamp_ms=time_ms)
                for value, key, time_ms in zip(values, keys, times, strict=False)
            ]
            return [(done.partition, done.offset) for done in await asyncio.gather(*sent)]

    async def committed(self, group: str, topic: str) -> int:
        """Return the sum of the offsets that `group` has committed for all partitions; a partition without an offset counts as 0."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap_servers, group_id=group, enable_auto_commit=False
        )
        async with consumer:
            ends = await end_offsets(self.bootstrap_servers, topic)
            partitions = [TopicPartition(topic, number) for number in ends]
            consumer.assign(partitions)
            return sum([await consumer.committed(tp) or 0 for tp in partitions])

    @asynccontextmanager
    async def endless_lines(self, topic: str, chunk: int = 100, pause_s: float = 0.02) -> AsyncIterator[None]:
        """Produce chunks of lines until the block ends; each chunk is acknowledged before the next chunk is sent."""
        done = asyncio.Event()

        async def produce() -> None:
            for seed in itertools.count():
                await self.produce(topic, lines(seed, chunk))
                if done.is_set():
                    return
                await asyncio.sleep(pause_s)

        producing = asyncio.create_task(produce())
        try:
            yield
        finally:
            done.set()
            await producing

    async def read_all(self, topic: str) -> list[Any]:
        """Return every record up to the present end of each partition, ordered by partition and offset."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.bootstrap_servers, auto_offset_reset="earliest"
        )
        async with consumer, asyncio.timeout(READ_TIMEOUT_S):
            partitions = consumer.assignment()
            ends = await consumer.end_offsets(partitions)
            records = []
            while [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
                for polled in (await consumer.getmany(timeout_ms=100)).values():
                    records += polled
        within = [
            record for record in records if record.offset < ends[TopicPartition(topic, record.partition)]
        ]
        return sorted(within, key=lambda record: (record.partition, record.offset))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """The broker that all tests share: a test must not stop it, and must use topics and groups of its own."""
    with EmbeddedBroker(tmp_path_factory.mktemp("broker"), settings=EAGER_CLEANING) as running:
        yield running


@pytest.fixture(scope="session")
def kafka_at() -> Callable[[str], KafkaClient]:
    """A function that returns a client of the broker at a given `host:port`."""
    return KafkaClient


@pytest.fixture
def kafka(broker: EmbeddedBroker, kafka_at: Callable[[str], KafkaClient]) -> KafkaClient:
    """A client of the shared broker."""
    return kafka_at(broker.bootstrap_servers)


@pytest.fixture
def topic_name() -> str:
    """A name that no other test uses."""
    return f"topic-{uuid.uuid4().hex[:12]}"


class Workers:
    """Makes workers of one topic and group; all workers end with the test, and a failed test shows their logs."""

    def __init__(self, folder: Path, bootstrap_servers: str, topic: str) -> None:
        self.topic = topic
        self.group = f"group-{topic}"
        self.bootstrap_servers = bootstrap_servers
        self.made: list[Worker] = []
        self._folder = folder

    def __call__(self, *, entry: str = "wordcount", **settings: object) -> Worker:
        """Return a worker that is not started yet.

        Args:
            entry: name in `COMMANDS` of the command that starts the worker.
            settings: settings of the worker; their names are lower case and have no prefix WORDCOUNT_.
        """
        ours = {"bootstrap_servers": self.bootstrap_servers, "topic": self.topic, "group": self.group}
        variables = {f"WORDCOUNT_{name.upper()}": str(value) for name, value in (ours | settings).items()}
        worker = Worker(f"worker-{len(self.made)}", self._folder, variables, COMMANDS[entry])
        self.made.append(worker)
        return worker


@pytest.fixture
async def workers(tmp_path: Path, broker: EmbeddedBroker, topic_name: str) -> AsyncIterator[Workers]:
    """Workers on the shared broker that count a topic of this test alone; the fixture does not create the topic."""
    made = Workers(tmp_path, broker.bootstrap_servers, topic_name)
    yield made
    await close_all(made.made)


async def close_all(workers: Iterable[Worker]) -> None:
    """End workers and print the ends of their logs, which pytest shows if the test failed."""
    for worker in workers:
        await worker.close()
        if worker.log_path.exists():
            print(
                f"--- {worker.log_path.name}, exit code {worker.exit_code}\n" + worker.log[-LOG_CHARACTERS:]
            )


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """The broker with TLS, logins and rights that tests share: a test must grant rights only on topics and groups of its own."""
    with SecuredBroker(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture
async def secured_workers(tmp_path: Path, secured: SecuredBroker, topic_name: str) -> AsyncIterator[Workers]:
    """Workers on the secured broker; without other settings a worker uses the listener where everything is allowed."""
    made = Workers(tmp_path, secured.open_servers, topic_name)
    yield made
    await close_all(made.made)


@pytest.fixture
def wordcount(broker: EmbeddedBroker, topic_name: str, tmp_path: Path) -> Wordcount:
    """A `Wordcount` that runs commands on a topic of this test alone."""
    return Wordcount(broker.bootstrap_servers, topic_name, tmp_path)


@pytest.fixture
def settings(
    broker: EmbeddedBroker, topic_name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Settings:
    """Settings with a topic of this test alone; the test's process has a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return load_settings(bootstrap_servers=broker.bootstrap_servers, topic=topic_name, partitions=3)
