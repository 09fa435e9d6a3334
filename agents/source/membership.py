"""The membership in the consumer group: heartbeats, commits that prove ownership, errors that aiokafka parks.

What is overridden and why (each fact has a test in `tests/integration/kafka/test_transport.py` that an upgrade of Faust would fail):

* `_create_worker_consumer`: our assignor; bytes instead of record objects; no offset reset, since resetting is losing or doubling.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.source import group_protocol, static_member
from agents.source.assignor import AddressedStickyAssignor
from agents.source.worker_app import WorkerApp
from tables.errors import ConfigurationError, FlushUnknownError, PartitionsLostError
from tables.fetch import fetching
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tables.kafka import client as kafka_client
from tables.kafka.rights import Right

_log = structlog.get_logger(__name__)

COMMIT_TIMEOUT_S = 3.0
FETCH_WAIT_MS = 500
"""Longest wait of the broker for new records; an idle partition that becomes ready waits no longer than this."""


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Owns the aiokafka consumer. Coroutines run on the thread's own event loop, other methods on any thread.

    Attributes:
        last_contact_s: when the coordinator last accepted a heartbeat, or assigned partitions, on the monotonic clock.
    """

    app: WorkerApp
    last_contact_s: float = -math.inf

    def _create_worker_consumer(self, transport: Any) -> Any:
        fetching.install()
        static_member.install()
        kafka_client.install()
        options = self.app.consumer_options
        consumer = super()._create_worker_consumer(transport)
        consumer._client.answer_timeout_s = options.request_timeout_s
        self._assignor = AddressedStickyAssignor(options.advertised_url, self._hold)
        consumer._partition_assignment_strategy = [self._assignor]
        consumer._value_deserializer = RecordBatchUnpacker(options.max_record_bytes)
        consumer._isolation_level = options.isolation
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Faust's, then remember every heartbeat that the coordinator accepted, and every loss of a static membership."""
        self.last_contact_s = monotonic()
        self._takeovers = static_member.TakeoverDetector(self.session_timeout_s)
        await super().on_start()
        coordinator = self._consumer._coordinator
        self._assignor.current_generation = lambda: coordinator.generation
        beat = coordinator._do_heartbeat

        async def beat_and_remember() -> bool:
            accepted = bool(await beat())
            if accepted:
                self.last_contact_s = monotonic()
            return accepted

        coordinator._do_heartbeat = beat_and_remember
        forget = coordinator.reset_generation

        def note_and_forget() -> None:
            if coordinator._group_instance_id is not None and coordinator.generation > 0:
                self._takeovers.note_loss(monotonic(), self.last_contact_s)
            forget()

        coordinator.reset_generation = note_and_forget

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Faust's; an assignment is a contact as good as a heartbeat."""
        self.last_contact_s = monotonic()
        await super().on_partitions_assigned(assigned, generation_id)

    def _hold(self, assigned: Collection[TopicPartition]) -> None:
        """Fetch nothing from new partitions before `seek_owned`: aiokafka would look for the group's committed offsets."""
        for tp in assigned:
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)

    async def seek_owned(self, tp: TopicPartition, position: int) -> None:
        """Deliver from `position` on. Raises PartitionsLostError where the partition is not assigned."""
        if tp not in self._consumer.assignment():
            raise PartitionsLostError(f"{tp.topic} partition {tp.partition} is not assigned to this worker")
        self._consumer.seek(tp, position)
        self._consumer.resume(tp)

    def bound_fetches(self, partition_bytes: int) -> None:
        """Ask for so many bytes of a partition at a time: what was fetched and is not wanted yet is in memory."""
        self._consumer._fetcher._max_partition_fetch_bytes = partition_bytes

    async def commit_owned(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit and thereby prove ownership.

        An accepted commit alone proves nothing: an empty group accepts anybody's. So the membership must be live before, the same
        after, and heard of within the session timeout.

        Raises:
            PartitionsLostError: another member owns the partitions, or may own them.
            FlushUnknownError: no answer in time.
            ConfigurationError: this user may not read the topic, or not be in the group.
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
        """Raises PartitionsLostError where this worker is no member, or may have been taken for dead."""
        if not self.is_member() or (age_s := self.contact_age_s()) is None:
            raise PartitionsLostError("this worker is not a member of the group")
        if age_s > self.session_timeout_s:
            raise PartitionsLostError(f"the last accepted heartbeat is {age_s:.1f} s old")

    def contact_age_s(self) -> float | None:
        """Seconds since the coordinator last accepted a heartbeat, or assigned partitions; None before there is a connection."""
        return None if self._consumer is None else monotonic() - self.last_contact_s

    @property
    def session_timeout_s(self) -> float:
        """Seconds without a heartbeat after which the group takes a member for dead."""
        timeout_s: float = self.app.conf.broker_session_timeout
        return timeout_s

    def topic_partitions(self, topic: str) -> int | None:
        """Number of partitions of `topic`; None before it is known. Faust's is known to the group's leader alone."""
        known = None if self._consumer is None else self._consumer.partitions_for_topic(topic)
        return len(known) if known else None

    def denied(self, error: BaseException) -> ConfigurationError | None:
        """The error to end with where the brokers do not let this worker read or be a member; None where it is another one."""
        options = self.app.consumer_options
        return options.rights.denied(
            error, Right("Read", "topic", options.topic), Right("Read", "group", self.app.conf.id)
        )

    async def strangers(self) -> Sequence[str]:
        """See `agents.source.group_protocol`; none while there is no coordinator. Any event loop may await."""
        return await self.call_thread(self._strangers) if self.is_member() else []

    async def _strangers(self) -> Sequence[str]:
        coordinator = self._consumer._coordinator
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                return await group_protocol.strangers(
                    partial(self._consumer._client.send, coordinator.coordinator_id), coordinator.group_id
                )
        except (KafkaError, TimeoutError) as error:
            _log.debug("who else is in the group is not known", reason=repr(error))
            return []

    def parked_error(self) -> BaseException | None:
        """An error after which aiokafka does nothing more, and which it would tell only to a fetch that never comes."""
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
        """Why the brokers have no coordinator for the group, as they said last; None = they have one, or were not asked yet."""
        error: str | None = self._consumer._client.coordinator_error if self._is_connected() else None
        return error

    def is_member(self) -> bool:
        """Whether the coordinator knows this worker; false within a revocation means that the partitions are lost already."""
        return self._is_connected() and self._consumer._coordinator.generation > 0

    def note_poll(self) -> None:
        """Count as a poll that brings nothing: without one aiokafka leaves the group after a while."""
        with self._ensure_consumer()._subscription.fetch_context():
            pass

    def bound_poll(self, poll_bytes: int) -> None:
        """Let the next poll take at most `poll_bytes` of values, as unpacked."""
        self._ensure_consumer()._value_deserializer.room_bytes = poll_bytes

    def readable_end(self, tp: TP) -> int:
        """Offset after the last record of a partition that can be read, as of the last fetch."""
        consumer = self._ensure_consumer()
        end = consumer.highwater(tp) or 0
        if self.app.consumer_options.isolation == "read_committed":
            return min(end, consumer.last_stable_offset(tp) or end)
        return int(end)

    def _is_connected(self) -> bool:
        return self._consumer is not None and self._consumer._coordinator is not None
