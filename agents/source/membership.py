"""The membership in the consumer group: heartbeats, commits that prove ownership, errors that aiokafka stores and does not raise.

The override and its reasons (`tests/integration/kafka/test_transport.py` has a test for each, which fails if an upgrade of Faust
takes the reason away):

* `_create_worker_consumer` sets our assignor, has bytes delivered instead of record objects, and forbids an automatic reset of
  offsets, because a reset would leave records out or count records twice.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.source import group_protocol, static_member
from agents.source.assignor import MappingStickyAssignor
from agents.source.group_map import GroupMap
from agents.source.worker_app import WorkerApp
from tables.errors import ConfigurationError, FlushUnknownError, PartitionsLostError
from tables.fetch import fetching
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tables.kafka import client as kafka_client
from tables.kafka.rights import Right

_log = structlog.get_logger(__name__)

COMMIT_TIMEOUT_S = 3.0
"""Longest wait for the coordinator's answer to a commit, or to the question who is in the group."""
FETCH_WAIT_MS = 500
"""Longest wait of the broker for new records: a partition that becomes able to take records in is fetched after this time at most."""


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer. Coroutines run on the thread's own event loop, other methods on any thread.

    Attributes:
        last_contact_s: when the last accepted heartbeat was sent, or the last request for an assignment, on the clock of the options.
    """

    app: WorkerApp
    last_contact_s: float = -math.inf
    _synced_s: float = -math.inf
    """When the last request for an assignment was sent."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        fetching.install()
        static_member.install()
        kafka_client.install()
        options = self.app.consumer_options
        consumer = super()._create_worker_consumer(transport)
        consumer._client.answer_timeout_s = options.request_timeout_s
        self._assignor = MappingStickyAssignor(options.facts, self._hold)
        consumer._partition_assignment_strategy = [self._assignor]
        consumer._value_deserializer = RecordBatchUnpacker(
            options.max_record_bytes, with_times=options.with_times
        )
        consumer._isolation_level = options.isolation
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Start Faust's consumer; from then on note every accepted heartbeat and every loss of a static membership."""
        clock = self.app.consumer_options.clock
        self.last_contact_s = clock()
        self._takeovers = static_member.TakeoverDetector(self.session_timeout_s)
        await super().on_start()
        coordinator = self._consumer._coordinator
        self._assignor.current_generation = lambda: coordinator.generation
        beat = coordinator._do_heartbeat

        async def beat_and_remember() -> bool:
            # The coordinator counts the session from the moment at which the heartbeat arrives, not from its answer.
            sent_s = clock()
            accepted = bool(await beat())
            if accepted:
                self.last_contact_s = max(self.last_contact_s, sent_s)
            return accepted

        coordinator._do_heartbeat = beat_and_remember
        send = coordinator._send_req

        async def note_and_send(request: Any) -> Any:
            if isinstance(request, SyncGroupRequest):
                self._synced_s = clock()
            return await send(request)

        coordinator._send_req = note_and_send
        forget = coordinator.reset_generation

        def note_and_forget() -> None:
            if coordinator._group_instance_id is not None and coordinator.generation > 0:
                self._takeovers.note_loss(clock(), self.last_contact_s)
            forget()

        coordinator.reset_generation = note_and_forget

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note when the assignment was asked for, because it proves the membership as a heartbeat does; then call Faust's method.

        A process may be stopped between the coordinator's answer and this call, while the session goes on.
        """
        self.last_contact_s = max(self.last_contact_s, self._synced_s)
        await super().on_partitions_assigned(assigned, generation_id)

    def _hold(self, assigned: Collection[TopicPartition]) -> None:
        """Pause new partitions at offset 0 until `seek_owned`: without a position aiokafka would ask for the group's offsets."""
        for tp in assigned:
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)

    async def seek_owned(self, tp: TopicPartition, position: int) -> None:
        """Make `position` the next offset that is delivered. Raise PartitionsLostError if the partition is not assigned."""
        if tp not in self._consumer.assignment():
            raise PartitionsLostError(f"{tp.topic} partition {tp.partition} is not assigned to this worker")
        self._consumer.seek(tp, position)
        self._consumer.resume(tp)

    def bound_fetches(self, partition_bytes: int) -> None:
        """Fetch at most `partition_bytes` of a partition at a time: fetched records that are not taken in yet use memory."""
        self._consumer._fetcher._max_partition_fetch_bytes = partition_bytes

    async def commit_owned(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit `offsets` (next offset to count of each partition) and thereby prove ownership, rule 5 of ARCHITECTURE.md.

        An accepted commit alone proves nothing, because an empty group accepts a commit of anybody. So the membership must be live
        before the commit, its last accepted heartbeat must be younger than the session timeout, and generation and member must be
        the same after the commit.

        Raises:
            PartitionsLostError: another member owns the partitions, or may own them.
            FlushUnknownError: no answer within `COMMIT_TIMEOUT_S`, or an error that a retry may mend.
            ConfigurationError: this user may not read the topic, or may not be in the group.
        """
        self.check_membership()
        coordinator = self._consumer._coordinator
        membership = (coordinator.generation, coordinator.member_id)
        try:
            await asyncio.wait_for(
                self._consumer.commit(
                    {tp: OffsetAndMetadata(position, "") for tp, position in offsets.items()}
                ),
                COMMIT_TIMEOUT_S,
            )
        except (CommitFailedError, IllegalStateError) as error:
            raise PartitionsLostError(f"the group refused a commit ({error.__cause__ or error!r})") from error
        except TimeoutError as error:
            raise FlushUnknownError(f"no answer to a commit within {COMMIT_TIMEOUT_S} s") from error
        except KafkaError as error:
            if denied := self.denied(error):
                raise denied from error
            if not error.retriable:
                raise
            raise FlushUnknownError(f"a commit failed ({error!r})") from error
        if (coordinator.generation, coordinator.member_id) != membership:
            raise PartitionsLostError("the membership changed during a commit")

    def check_membership(self) -> None:
        """Raise PartitionsLostError if this worker is not a member of the group, or if the group may take it for dead."""
        if not self.is_member() or (age_s := self.contact_age_s()) is None:
            raise PartitionsLostError("this worker is not a member of the group")
        if age_s > self.session_timeout_s:
            raise PartitionsLostError(f"the last accepted heartbeat is {age_s:.1f} s old")

    def contact_age_s(self) -> float | None:
        """Return the seconds since the coordinator last accepted a heartbeat or assigned partitions; None without a consumer."""
        return None if self._consumer is None else self.app.consumer_options.clock() - self.last_contact_s

    @property
    def group_map(self) -> GroupMap | None:
        """The map of all workers, of the latest assignment; None = none yet, or the leader's version sends no map."""
        return self._assignor.group_map if self._consumer is not None else None

    @property
    def session_timeout_s(self) -> float:
        """Seconds without a heartbeat after which the group takes a member for dead."""
        timeout_s: float = self.app.conf.broker_session_timeout
        return timeout_s

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of `topic`; None before the number is known.

        Overridden, because Faust's method knows the number in the leader of the group only.
        """
        known = None if self._consumer is None else self._consumer.partitions_for_topic(topic)
        return len(known) if known else None

    def denied(self, error: BaseException) -> ConfigurationError | None:
        """Return the error to end with if `error` denies this worker the topic or the group; None for any other error."""
        options = self.app.consumer_options
        return options.rights.denied(
            error, Right("Read", "topic", options.topic), Right("Read", "group", self.app.conf.id)
        )

    async def strangers(self) -> Sequence[str]:
        """Return the members that speak the new group protocol, see `agents.source.group_protocol.strangers`.

        Empty while this worker is not a member, or if the coordinator does not answer. May be awaited on any event loop.
        """
        return await self.call_thread(self._strangers) if self.is_member() else []

    async def _strangers(self) -> Sequence[str]:
        coordinator = self._consumer._coordinator
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                return await group_protocol.strangers(
                    partial(self._consumer._client.send, coordinator.coordinator_id), coordinator.group_id
                )
        except (KafkaError, TimeoutError) as error:
            _log.debug("the other members of the group are not known", reason=repr(error))
            return []

    def parked_error(self) -> BaseException | None:
        """Return an error after which aiokafka does nothing more; None = there is no such error.

        aiokafka would raise the error in the next fetch, but a worker that takes no records in never fetches again.
        """
        if not self._is_connected():
            return None
        coordinator = self._consumer._coordinator
        if self._takeovers.is_taken():
            return static_member.FencedInstanceIdError(coordinator._group_instance_id)
        if coordinator._pending_exception is not None:
            error: BaseException = coordinator._pending_exception
            return error
        for task in (coordinator._coordination_task, self._consumer._fetcher._fetch_task):
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    def coordinator_error(self) -> str | None:
        """Return the brokers' last reason for having no coordinator of the group; None = a coordinator exists, or no answer yet."""
        error: str | None = self._consumer._client.coordinator_error if self._is_connected() else None
        return error

    def is_member(self) -> bool:
        """Return whether the coordinator knows this worker. False during a revocation: the partitions are lost already."""
        return self._is_connected() and self._consumer._coordinator.generation > 0

    def note_poll(self) -> None:
        """Tell aiokafka that a poll took place: after `max_poll_interval_ms` without a poll aiokafka leaves the group."""
        with self._ensure_consumer()._subscription.fetch_context():
            pass

    def bound_poll(self, poll_bytes: int) -> None:
        """Let the next poll take at most `poll_bytes` bytes of values, measured as unpacked."""
        self._ensure_consumer()._value_deserializer.room_bytes = poll_bytes

    def readable_end(self, tp: TP) -> int:
        """Return the offset after the last readable record of a partition, as of the last fetch; 0 before the first fetch."""
        consumer = self._ensure_consumer()
        end = consumer.highwater(tp) or 0
        if self.app.consumer_options.isolation == "read_committed":
            return min(end, consumer.last_stable_offset(tp) or end)
        return int(end)

    def _is_connected(self) -> bool:
        return self._consumer is not None and self._consumer._coordinator is not None
