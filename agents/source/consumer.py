"""All overrides of Faust's Kafka transport: batches as events, positions from the stores, ownership that is proven.

What is overridden and why (each fact has a test in `tests/integration/test_transport.py` that an upgrade of Faust would fail):

* `_create_worker_consumer`: our assignor; bytes instead of record objects; no offset reset, since resetting is losing or doubling.
* `_getmany`: fetch only from partitions that can take records in. Faust resumes all partitions after every rebalance; this filter is
  the one place that it cannot undo. An error of one partition stops that partition, not the worker. Few records are left to gather.
* `_to_message`: one event per partition and poll.
* `on_partitions_revoked`, `on_partitions_assigned`: flush before Faust forgets, restore after it assigned.
* `ack`, `_commit`, `_filter_tps_with_pending_acks`, `_add_gap`, `_read_offset`, `seek_to_committed`: Faust keeps no positions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from agents.source import group_protocol, static_member
from agents.source.assignor import AddressedStickyAssignor
from tables.errors import ConfigurationError, FlushUnknownError, InexactError, PartitionsLostError
from tables.fetch import fetching
from tables.kafka import client as kafka_client
from tables.kafka.rights import Right
from tables.model.records import RecordBatch
from tables.partitions.partitions import WordCounts

_log = structlog.get_logger(__name__)

COMMIT_TIMEOUT_S = 3.0
FETCH_WAIT_MS = 500
"""Longest wait of the broker for new records; an idle partition that becomes ready waits no longer than this."""
_IDLE_S = 0.02
PACE_S = 0.025
"""Pause after a poll that brought little: a poll costs as much for ten records as for thousands."""
LITTLE_RECORDS = 10_000
LITTLE_BYTES = 1 << 20

UNREADABLE_REMEDY = (
    "have the broker serve an intact replica and start the worker again; where there is none, or no client can decode that batch, "
    "delete the records up to and with it, and wordcount reset counts again what the input has then"
)
"""Of a record batch that is not what its checksum says, or that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one poll brought of one partition: the value of one Faust event.

    Attributes:
        batches: joining, in offset order.
        highwater: offset after the last record of the partition that could be read, as of the fetch.
    """

    batches: list[RecordBatch]
    highwater: int


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Owns the aiokafka consumer; every method runs on the thread's own event loop."""

    consumer: BatchConsumer

    def _create_worker_consumer(self, transport: Any) -> Any:
        fetching.install()
        static_member.install()
        kafka_client.install()
        options = self.app.consumer_options
        consumer = super()._create_worker_consumer(transport)
        consumer._client.answer_timeout_s = options.request_timeout_s
        self._assignor = AddressedStickyAssignor(options.advertised_url, self._hold)
        consumer._partition_assignment_strategy = [self._assignor]
        consumer._value_deserializer = fetching.RecordBatchUnpacker(options.max_record_bytes)
        consumer._isolation_level = options.isolation
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Faust's, then remember every heartbeat that the coordinator accepted, and every loss of a static membership."""
        self.last_contact = monotonic()
        self._takeovers = static_member.TakeoverDetector(self.app.conf.broker_session_timeout)
        await super().on_start()
        coordinator = self._consumer._coordinator
        self._assignor.current_generation = lambda: coordinator.generation
        beat = coordinator._do_heartbeat

        async def beat_and_remember() -> bool:
            accepted = bool(await beat())
            if accepted:
                self.last_contact = monotonic()
            return accepted

        coordinator._do_heartbeat = beat_and_remember
        forget = coordinator.reset_generation

        def note_and_forget() -> None:
            if coordinator._group_instance_id is not None and coordinator.generation > 0:
                self._takeovers.lost(monotonic(), self.last_contact)
            forget()

        coordinator.reset_generation = note_and_forget

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Faust's; an assignment is a contact as good as a heartbeat."""
        self.last_contact = monotonic()
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
        """Ask for so many bytes of a partition at a time: what was fetched and is not wanted yet is in memory. Any thread may call."""
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
        """Raises PartitionsLostError where this worker is no member, or may have been taken for dead. Any thread may ask."""
        if not self.is_member():
            raise PartitionsLostError("this worker is not a member of the group")
        age_s = monotonic() - self.last_contact
        if age_s > self.app.conf.broker_session_timeout:
            raise PartitionsLostError(f"the last accepted heartbeat is {age_s:.1f} s old")

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
        """See `agents.source.group_protocol`; none while there is no coordinator. Any event loop may ask."""
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

    def _is_connected(self) -> bool:
        return self._consumer is not None and self._consumer._coordinator is not None


class _NoReadOffsets(dict[TP, int | None]):
    """Faust drops messages below the last offset that it read; after a seek back those are wanted."""

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass


class _Forgotten(dict[TP, Any]):
    """A new, empty collection each time."""

    def __init__(self, kind: Callable[[], Any]) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, tp: TP) -> Any:
        return self._kind()


class BatchConsumer(driver.Consumer):
    """Delivers `Fetched` batches of the partitions that are `WordCounts.accepting`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._read_offset = _NoReadOffsets()
        # Faust's compiled stream adds every offset by itself, past `ack`; only a commit of Faust would take it out again.
        self._acked = _Forgotten(list)
        self._acked_index = _Forgotten(set)
        self._paced_until = 0.0

    @property
    def _word_counts(self) -> WordCounts:
        counts: WordCounts = self.app.word_counts
        return counts

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Fetched]]:
        counts = self._word_counts
        if (pause_s := self._paced_until - monotonic()) > 0:
            await asyncio.sleep(pause_s)
        accepting = counts.accepting()
        wanted = {tp for tp in active_partitions or () if tp.partition in accepting}
        if not wanted:
            # An empty set would mean all. This line counts as a poll: without one aiokafka leaves the group after a while.
            with self._thread._ensure_consumer()._subscription.fetch_context():
                pass
            await asyncio.sleep(_IDLE_S)
            return {}
        self._thread._ensure_consumer()._value_deserializer.room_bytes = fetching.POLL_BYTES
        # Wait only as long as no further partition can become ready.
        wait_s = timeout if len(wanted) == len(self.assignment()) else _IDLE_S
        try:
            found = await super()._getmany(active_partitions=wanted, timeout=wait_s)
        except OffsetOutOfRangeError as error:
            for tp in error.args[0]:
                counts.reexamine(tp.partition)
            return {}
        except fetching.UnreadableBatchError as error:
            number = error.topic_partition.partition
            if number in counts.partition_numbers():
                counts.unreadable(number, error.offset, InexactError(error.description, UNREADABLE_REMEDY))
            await asyncio.sleep(_IDLE_S)
            return {}
        except KafkaError as error:
            # Faust's fetcher would end the process with a traceback.
            if (denied := self._thread.denied(error)) is None:
                raise
            self.app.end(denied)
            await asyncio.sleep(_IDLE_S)
            return {}
        if _is_little([batch for batches in found.values() for batch in batches]):
            self._paced_until = monotonic() + PACE_S
        arrived = {tp: [one for one in batches if not one.is_pause] for tp, batches in found.items()}
        return {tp: [Fetched(batches, self._readable_end(tp))] for tp, batches in arrived.items() if batches}

    def _readable_end(self, tp: TP) -> int:
        consumer = self._thread._ensure_consumer()
        end = consumer.highwater(tp) or 0
        if self.app.consumer_options.isolation == "read_committed":
            return min(end, consumer.last_stable_offset(tp) or end)
        return int(end)

    def _to_message(self, tp: TP, record: Fetched) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.batches[-1].next_offset - 1,
            0.0,
            0,
            None,
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Flush and commit while the membership still stands, then let Faust clean up."""
        await self._word_counts.suspend(
            clean=self._thread.is_member(), timeout_s=self.app.conf.broker_rebalance_timeout / 2
        )
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Let Faust set up its streams, then open and restore the stores in the background."""
        await super().on_partitions_assigned(assigned, generation_id)
        if not self.app.should_stop:
            try:
                await self._word_counts.assign({tp.partition for tp in assigned})
                self._thread.bound_fetches(self.app.consumer_options.memory.bounds.fetch_bytes)
            except Exception as error:  # noqa: BLE001 - aiokafka would log any kind and go on without the partitions
                self.app.end(error)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Nothing: every partition is seeked when it has been restored, to the position in its store."""
        return {}

    def ack(self, message: Any) -> bool:
        """Forget the message; what it brought is in a buffer now, and acknowledged by a flush."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(())

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: gaps are part of the batches."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust's check looks at acknowledgements that are not kept here."""


def _is_little(batches: Collection[RecordBatch]) -> bool:
    return (
        sum(batch.record_count for batch in batches) < LITTLE_RECORDS
        and sum(batch.byte_count for batch in batches) < LITTLE_BYTES
        and not any(batch.is_pause for batch in batches)
    )


class BatchTransport(driver.Transport):
    """Faust's transport with our consumer."""

    Consumer = BatchConsumer
