"""A Faust app in the process of the test, with Wordcount's Kafka transport and a stand-in for counts that keeps the values it gets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import faust
from aiokafka import TopicPartition

from agents.source.assignor import GroupFacts
from agents.source.consumer import BatchTransport
from agents.source.group_map import Card
from agents.source.worker_app import ConsumerOptions
from agents.topology import PassThrough, count_words
from tables.kafka.rights import Rights
from tables.model.records import RecordBatch
from tests.integration.worker import wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

SESSION_S = 3.0


class NotedCounts:
    """A stand-in for `Partitions`: accepts the partitions that a test chooses, and keeps the values and calls that it gets."""

    def __init__(self) -> None:
        self.accepted: set[int] = set()
        self.values: dict[int, list[bytes]] = defaultdict(list)
        self.highwaters: dict[int, int] = {}
        self.assigned: list[set[int]] = []
        self.followed: list[set[int]] = []
        self.suspended: list[bool] = []
        self.polls = 0
        self.reexamined: set[int] = set()

    def choose_for_poll(self) -> set[int]:
        return self.accepted

    def add(self, partition: int, batches: Sequence[RecordBatch], highwater: int) -> None:
        self.polls += 1
        for batch in batches:
            self.values[partition] += batch.values.to_pylist()
        self.highwaters[partition] = highwater

    def examine_again(self, partition: int) -> None:
        self.accepted.discard(partition)
        self.reexamined.add(partition)

    async def suspend(self, *, clean: bool, timeout_s: float) -> None:
        self.suspended.append(clean)

    async def assign(self, active: Collection[int], standby: Collection[int]) -> None:
        self.assigned.append(set(active))
        self.followed.append(set(standby))


class BareApp(faust.App):
    """A Faust app that has Wordcount's transport, but no other part of Wordcount."""

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)


class Running:
    """A started app, and the calls that tests make on it."""

    def __init__(self, faust_app: Any, counts: NotedCounts, topic: str) -> None:
        self.faust_app = faust_app
        self.counts = counts
        self.topic = topic

    @property
    def thread(self) -> Any:
        return self.faust_app.consumer.membership

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a method of the consumer's thread in that thread; return its result."""
        return await self.thread.call_thread(function, *arguments)

    async def seek(self, partition: int, position: int) -> None:
        await self.call(self.thread.seek_owned, TopicPartition(self.topic, partition), position)

    async def begin(self) -> None:
        """Accept partition 0 and read it from its beginning."""
        self.counts.accepted = {0}
        await self.seek(0, 0)

    async def commit(self, partition: int, position: int) -> None:
        await self.call(self.thread.commit_owned, {TopicPartition(self.topic, partition): position})

    async def wait_values(self, partition: int, values: Sequence[bytes]) -> None:
        """Wait until the agent has got as many values of `partition` as `values` has, and check that they are equal."""

        async def has_come() -> bool:
            return len(self.counts.values[partition]) >= len(values)

        await wait_for(has_come, f"{len(values)} values of partition {partition}")
        assert self.counts.values[partition] == list(values)


@asynccontextmanager
async def run_bare_app(kafka: KafkaClient, topic_name: str, folder: Path) -> AsyncIterator[Running]:
    """Start an app that reads a topic, yield it when its partitions are assigned, and stop it with the block.

    Args:
        folder: data folder of Faust.
    """
    counts = NotedCounts()
    faust_app = BareApp(
        f"group-{topic_name}",
        broker=f"kafka://{kafka.bootstrap_servers}",
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 3,
        broker_request_timeout=10.0,
        broker_rebalance_timeout=10.0,
        consumer_auto_offset_reset="none",
        consumer_max_fetch_size=1024,  # so that a poll returns one batch
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=str(folder),
        stream_buffer_maxsize=4096,
        stream_wait_empty=False,
    )
    faust_app.partitions = counts
    faust_app.consumer_options = ConsumerOptions(
        GroupFacts(topic_name, 1, lambda: Card("http://worker:8080")),
        "read_committed",
        topic_name,
        Rights("User:ANONYMOUS", kafka.bootstrap_servers),
        5.0,
        1 << 20,
        SimpleNamespace(bounds=SimpleNamespace(fetch_bytes=1024)),
    )
    topic = faust_app.topic(topic_name, schema=PassThrough())

    @faust_app.agent(topic, name="count_words")
    async def count(stream: Any) -> None:
        await count_words(stream, counts)  # type: ignore[arg-type]

    async def is_assigned() -> bool:
        return bool(counts.assigned) and not faust_app.rebalancing

    await faust_app.start()
    try:
        await wait_for(is_assigned, "assignment")
        yield Running(faust_app, counts, topic_name)
    finally:
        await faust_app.stop()


Start = Callable[[], Any]
