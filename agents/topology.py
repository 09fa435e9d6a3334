"""Wiring of agent, counts and Kafka: builds the agent, the partitions and their connections on a given Faust app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import faust
import structlog

from agents.source.dead_letters import KafkaDeadLetters
from agents.source.kafka_source import GroupOwnership, KafkaSource
from agents.source.membership import BatchConsumerThread
from agents.source.worker_app import WorkerApp
from agents.watchdog import Watchdog
from tables.background import runner
from tables.cache.vocabulary import VocabularyLimit
from tables.kafka.changelog import KafkaChangelog
from tables.kafka.changelog_tail import KafkaChangelogTail
from tables.kafka.client import REQUESTS_PER_STEP
from tables.kafka.offsets import TopicOffsets
from tables.kafka.producer import ReplaceableProducer
from tables.kafka.refusals import lacks_replicas
from tables.kafka.rights import Right, Rights
from tables.model.names import Topics
from tables.model.tally import TallyRecords
from tables.model.windows import WindowRules
from tables.observer import Observer
from tables.pace.courtesy import Courtesy
from tables.pace.memory import MIB, MemoryBounds, MemoryBudget
from tables.pace.policy import FlushPolicy
from tables.pace.turns import FlushTurns
from tables.partitions.freshness import Freshness
from tables.partitions.partitions import Partitions
from tables.partitions.services import CLOSE_THREADS, ShardServices
from tables.ports import CommitWitness

_log = structlog.get_logger(__name__)

FLUSH_THREADS = 2
"""Two threads, so that one partition is counted while another is written (measured: 3.4 M words/s, with one thread 2.7 M)."""

EXAMINE_S = 60.0
"""Seconds between two examinations of idle changelogs; well below the changelog's `min.compaction.lag.ms`, 10 minutes by default."""

FOLLOW_THREADS = 1
"""The tail of the changelog belongs to one thread, which begins with the first standby."""

RESTORE_THREADS = 2
"""Threads for restores alone, so that a restore does not delay the flushes of other partitions."""

TICKS_PER_INTERVAL = 5
"""Checks for due flushes per `FlushPolicy.interval_ms`."""


@dataclass(frozen=True, slots=True)
class TopologyOptions:
    """Names, places and limits from which the topology is built.

    Attributes:
        topic, group: input topic and consumer group; the names of the changelog and the dead-letter topic are made from both.
        profile: identity of the tally; every marker contains this identity.
        connection: keyword arguments of every Kafka client: bootstrap_servers, security.
        rights: all rights that this worker needs on topics and group.
        state_folder: contains one folder per changelog topic.
        policy: decides when a buffer is flushed.
        isolation: which records of the input are read, `read_committed` or `read_uncommitted`.
        vocabulary_words: largest number of words whose counts are cached.
        memory: how much memory each part of the process may use.
        request_timeout_s: longest wait, in seconds, for a broker's answer to one request.
        compression: codec of the records that this worker writes, see `tables.kafka.producer`.
        stall_timeout_s: seconds without progress after which the worker ends, see `agents.watchdog`.
        ensure_topics: creates missing partitions of the changelog.
        windows: rules of the windows that are counted.
        dropped_sizes: see `ShardServices`.
        witness: called as each flush becomes visible; None = not needed.
    """

    topic: str
    group: str
    profile: str
    connection: Mapping[str, Any]
    rights: Sequence[Right]
    state_folder: Path
    policy: FlushPolicy
    isolation: str
    vocabulary_words: int
    request_timeout_s: float
    compression: str
    memory: MemoryBudget
    stall_timeout_s: float
    ensure_topics: Callable[[], Awaitable[object]]
    windows: WindowRules
    dropped_sizes: frozenset[int]
    witness: CommitWitness | None = None


class PassThrough(faust.Schema):
    """A schema that leaves keys and values as the transport made them."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> Any:
        """Return the key unchanged."""
        return message.key

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        """Return the value unchanged."""
        return message.value


class Readable(NamedTuple):
    """What readers need of the partitions.

    Attributes:
        partitions: the partitions of this worker.
        freshness: finds the rows that no other process can have surpassed.
        input_ends: looks up partition -> offset after the last readable record of the input.
        courtesy: has to know of each question, and how late the event loop runs.
    """

    partitions: Partitions
    freshness: Freshness
    input_ends: Callable[[Collection[int]], Awaitable[Mapping[int, int]]]
    courtesy: Courtesy


class Topology:
    """The parts that live as long as the worker.

    Attributes:
        partitions: the partitions of this worker.
        readable: what readers need of the partitions.
        watchdog: ends a worker that counts nothing; runs beside the agent.
    """

    def __init__(
        self,
        readable: Readable,
        producer: ReplaceableProducer,
        offsets: Sequence[TopicOffsets],
        watchdog: Watchdog,
        tick_s: float,
    ) -> None:
        self.partitions = readable.partitions
        self.readable = readable
        self.watchdog = watchdog
        self._producer = producer
        self._offsets = offsets
        self._tick_s = tick_s

    async def tick_forever(self) -> None:
        """Start the flushes that are due, for ever; runs beside the agent."""
        while True:
            await asyncio.sleep(self._tick_s)
            self.partitions.tick()

    async def examine_forever(self) -> None:
        """Examine the changelogs of idle partitions every `EXAMINE_S`, for ever; runs beside the agent."""
        while True:
            await asyncio.sleep(EXAMINE_S)
            await self.partitions.examine_idle()

    async def close_stores_and_connections(self) -> None:
        """Close the stores and all connections to Kafka, for good. The caller has awaited `Partitions.suspend`."""
        await self.partitions.close()
        await self._producer.close()
        for offsets in self._offsets:
            await offsets.close()


def build_topology(
    faust_app: WorkerApp,
    options: TopologyOptions,
    tally: TallyRecords,
    observer: Observer,
    *,
    on_fatal: Callable[[Exception], None],
) -> Topology:
    """Register the agent on `faust_app` and wire partitions and watchdog to Kafka. Start nothing.

    Args:
        faust_app: created with `agents.source.consumer.BatchTransport`; its consumer is used as soon as the app runs.
        options: names, places and limits.
        tally: counts the words of record batches.
        observer: receives every event that metrics, logs or health report.
        on_fatal: called with an error after which the process must end.
    """

    def membership() -> BatchConsumerThread:
        thread: BatchConsumerThread = faust_app.consumer.membership
        return thread

    step_timeout_s = options.request_timeout_s * REQUESTS_PER_STEP
    producer = ReplaceableProducer(options.connection, step_timeout_s, options.compression)
    offsets = TopicOffsets(options.connection, step_timeout_s)
    readable = TopicOffsets(options.connection, step_timeout_s, options.isolation)
    topics = Topics.of(options.group, options.topic)
    courtesy = Courtesy()
    ownership = GroupOwnership(membership, options.topic)
    services = ShardServices(
        topic=options.topic,
        group=options.group,
        profile=options.profile,
        tally=tally,
        changelog=KafkaChangelog(
            topics.changelog, options.connection, producer, offsets, options.ensure_topics
        ),
        tail=KafkaChangelogTail(topics.changelog, options.connection, step_timeout_s),
        ownership=ownership,
        source=KafkaSource(membership, options.topic, offsets),
        dead_letters=KafkaDeadLetters(topics.dead_letters, topics.input, producer),
        vocabulary=VocabularyLimit(options.vocabulary_words),
        memory=options.memory,
        turns=FlushTurns(courtesy),
        run=runner("flush", FLUSH_THREADS),
        run_commit=runner("commit", 1),
        run_long=runner("restore", RESTORE_THREADS),
        run_close=runner("close", CLOSE_THREADS),
        run_tail=runner("follow", FOLLOW_THREADS),
        witness=options.witness,
        windows=options.windows,
        dropped_sizes=options.dropped_sizes,
    )
    partitions = Partitions(
        options.state_folder / topics.changelog,
        services,
        options.policy,
        observer,
        on_fatal=on_fatal,
    )
    options.memory.follow(_ShortMemory())
    topic = faust_app.topic(options.topic, schema=PassThrough())

    @faust_app.agent(topic, name="count_words")
    async def count(stream: Any) -> None:
        """Counts the words of every record of the input topic."""
        await count_words(stream, partitions)

    def obstacle() -> str | None:
        if (error := membership().coordinator_error()) is not None:
            return f"no coordinator for group {options.group} ({error})"
        for written in (topics.changelog, topics.dead_letters):
            if lacks_replicas(refused := producer.refused(written)):
                return f"{written} takes no writes: too few in-sync replicas ({refused})"
        return None

    watchdog = Watchdog(
        partitions,
        readable,
        membership,
        topic=options.topic,
        changelog=topics.changelog,
        group=options.group,
        rights=Rights.of(options.connection),
        needed=options.rights,
        stall_timeout_s=options.stall_timeout_s,
        obstacle=obstacle,
        on_fatal=on_fatal,
    )
    tick_s = options.policy.interval_ms / 1000 / TICKS_PER_INTERVAL
    freshness = Freshness(
        shards=partitions.shards,
        counting=partitions.counting,
        followers=partitions.followers,
        check_lease=ownership.check,
        changelog=services.changelog,
        changes=partitions.changes,
        clock=services.clock,
    )

    async def input_ends(numbers: Collection[int]) -> Mapping[int, int]:
        return await readable.ends(options.topic, numbers)

    reads = Readable(partitions, freshness, input_ends, courtesy)
    return Topology(reads, producer, [offsets, readable], watchdog, tick_s)


class _ShortMemory:
    """Warns in the log if the partitions take more memory than the process may use."""

    def bound(self, bounds: MemoryBounds) -> None:
        """Warn if memory is missing, see `tables.pace.memory.Bounded`."""
        if bounds.missing_bytes:
            _log.warning(
                "the partitions of this worker need more memory than the worker may use",
                missing_mb=-(-bounds.missing_bytes // MIB),
                remedy="raise WORDCOUNT_MEMORY_MB and the container's limit, or start more workers",
            )


async def count_words(stream: Any, partitions: Partitions) -> None:
    """Add every event of the stream, the batches of one partition from one poll, to the buffer of its partition.

    This function is the agent. It never waits: `Partitions.choose_for_poll` gives the back-pressure, which the fetch obeys.
    """
    async for event in stream.events():
        fetched = event.value
        partitions.add(event.message.partition, fetched.batches, fetched.highwater)
