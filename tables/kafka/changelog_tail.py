"""The ends of changelog partitions on Kafka: one consumer without a group reads all partitions that are followed.

What the records mean is decided in `tables.model.replay` and `tables.partitions.follower`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from tables.clock import now_s
from tables.errors import BrokerUnavailableError
from tables.fetch import fetching
from tables.kafka.changelog_reader import opened_consumer, polled, unreadable
from tables.kafka.rights import Right, Rights
from tables.model.records import ChangelogSlice
from tables.ports import Tailed
from tables.threads import beside_the_loop

FETCH_BYTES = 16 << 20
"""Largest answer of one broker for all partitions, as compressed."""

FETCH_WAIT_MS = 500
"""Longest wait of a broker for new records."""

_TURNS_TO_REQUEST = 8
"""Turns of the event loop in which a consumer whose records were taken sends its next request; one more than was measured."""


class KafkaChangelogTail:
    """Follows partitions of a changelog topic; implements `tables.ports.ChangelogTail`.

    The event loop of the consumer runs only during `poll`, in the thread that calls it. aiokafka asks the brokers again by itself when
    the leader of a partition moves or a broker restarts.

    Args:
        topic: the changelog topic.
        connection: keyword arguments of every Kafka client.
        timeout_s: longest wait, in seconds, for the start of the consumer.
    """

    def __init__(self, topic: str, connection: Mapping[str, Any], timeout_s: float) -> None:
        self.topic = topic
        self._connection = connection
        self._rights = Rights.of(connection)
        self._timeout_s = timeout_s
        self._runner: asyncio.Runner | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._next: dict[int, int] = {}
        """The partitions that the consumer reads, and the next offset of each."""
        self._told: dict[int, tuple[int | None, int | None, float]] = {}
        """Of each partition the time stamp of the latest answer, the end that it said, and when the poll before that answer began."""
        self._polled_s = now_s()
        self._waking = Lock()
        self._woken = False
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    @beside_the_loop
    def poll(self, wanted: Mapping[int, int], timeout_s: float) -> Mapping[int, Tailed]:
        """Wait for records, see `ChangelogTail.poll`."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        before_s, self._polled_s = self._polled_s, now_s()
        try:
            return self._runner.run(self._poll(wanted, timeout_s, before_s))
        except BrokerUnavailableError:
            self.close()
            raise

    def wake(self) -> None:
        """End the poll under way, or the next poll, see `ChangelogTail.wake`."""
        with self._waking:
            self._woken = True
            if self._waiting is not None:
                loop, task = self._waiting
                loop.call_soon_threadsafe(task.cancel)

    @beside_the_loop
    def close(self) -> None:
        """Stop the consumer, see `ChangelogTail.close`."""
        runner, self._runner = self._runner, None
        consumer, self._consumer = self._consumer, None
        self._next, self._told = {}, {}
        if runner is not None:
            with runner:
                if consumer is not None:
                    runner.run(consumer.stop())

    async def _poll(
        self, wanted: Mapping[int, int], timeout_s: float, before_s: float
    ) -> Mapping[int, Tailed]:
        consumer = await self._reading(wanted)
        tps = {TopicPartition(self.topic, number): number for number in wanted}
        failures: dict[int, Tailed] = {}
        found: Mapping[TopicPartition, Any] = {}
        try:
            with self._rights.needed(Right("Read", "topic", self.topic)):
                found = await self._records(consumer, timeout_s)
        except OffsetOutOfRangeError as error:
            for tp, offset in error.args[0].items():
                failures[tps[tp]] = Tailed((), None, before_s, unreadable(error, tp, offset))
        except fetching.UnreadableBatchError as error:
            tp = error.topic_partition
            failures[tps[tp]] = Tailed((), None, before_s, unreadable(error, tp, error.offset))
        except KafkaError as error:
            raise BrokerUnavailableError(f"{self.topic} cannot be read ({error!r})") from error
        tailed = {}
        for tp, number in tps.items():
            slices = list(found.get(tp, ()))
            reached = await consumer.position(tp)
            if reached > (slices[-1].next_offset if slices else self._next[number]):
                slices.append(ChangelogSlice.of([], reached))
            self._next[number] = reached
            tailed[number] = Tailed(slices, *self._end(consumer, tp, before_s))
        return {**tailed, **failures}

    async def _reading(self, wanted: Mapping[int, int]) -> AIOKafkaConsumer:
        """Return the consumer, which reads the partitions and offsets in `wanted` from now on."""
        if self._consumer is None:
            self._consumer = await opened_consumer(
                self._connection,
                self._timeout_s,
                fetch_max_bytes=FETCH_BYTES,
                fetch_max_wait_ms=FETCH_WAIT_MS,
            )
        if wanted != self._next:
            self._consumer.assign([TopicPartition(self.topic, number) for number in wanted])
            for number, offset in wanted.items():
                self._consumer.seek(TopicPartition(self.topic, number), offset)
            self._next = dict(wanted)
            self._told = {number: told for number, told in self._told.items() if number in wanted}
        return self._consumer

    async def _records(
        self, consumer: AIOKafkaConsumer, timeout_s: float
    ) -> Mapping[TopicPartition, Sequence[ChangelogSlice]]:
        """Return the records that come within `timeout_s`, or until `wake` is called. A cancelled wait takes no records."""
        loop = asyncio.get_running_loop()
        with self._waking:
            timeout_ms = 0 if self._woken else int(timeout_s * 1000)
            waiting = loop.create_task(polled(consumer, timeout_ms))
            self._waiting = loop, waiting
        try:
            found: Mapping[TopicPartition, Sequence[ChangelogSlice]] = await waiting
        except asyncio.CancelledError:
            return {}
        finally:
            with self._waking:
                self._waiting, self._woken = None, False
        # The loop stands still until the next poll. The broker gets the next request now, and answers while these records are applied.
        for _ in range(_TURNS_TO_REQUEST if found else 0):
            await asyncio.sleep(0)
        return found

    def _end(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, before_s: float
    ) -> tuple[int | None, float]:
        """Return the end of a partition as the latest answer of its broker says, and a time at which the broker still said so.

        A process may be stopped between the answer and its receipt. So the time is that of the poll before the one in which the answer
        was received: during that poll the answer had not come.
        """
        stamp = consumer.last_poll_timestamp(tp)
        told = self._told.get(tp.partition)
        if told is None or told[0] != stamp:
            told = self._told[tp.partition] = stamp, consumer.highwater(tp), before_s
        return told[1:]
