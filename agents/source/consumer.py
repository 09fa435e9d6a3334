"""The Kafka consumer of a worker: overrides of Faust's consumer that deliver batches as events and take positions from the stores.

The overrides and their reasons (`tests/integration/kafka/test_transport.py` has a test for each, which fails if an upgrade of Faust
takes its reason away):

* `_getmany` fetches only from partitions that can take records in. Faust resumes all partitions after every rebalance, but cannot
  undo this filter. An error of one partition stops that partition, not the worker. After a poll that brought few records, the next
  poll waits until more records have gathered.
* `_to_message` makes one event per partition and poll.
* `on_partitions_revoked` flushes before Faust forgets the partitions. `on_partitions_assigned` starts the restores after Faust has
  assigned the partitions.
* `ack`, `_commit`, `_filter_tps_with_pending_acks`, `_add_gap`, `_read_offset`, `seek_to_committed`: Faust keeps no positions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from agents.source.membership import BatchConsumerThread
from agents.source.worker_app import WorkerApp
from tables.errors import InexactError
from tables.fetch import fetching
from tables.model.records import RecordBatch

_IDLE_S = 0.02
PACE_S = 0.025
"""Seconds from a poll that brought little to the next poll: a poll costs as much for ten records as for thousands."""
LITTLE_RECORDS = 10_000
LITTLE_BYTES = 1 << 20
"""A poll brought little if it brought fewer than `LITTLE_RECORDS` records and fewer than `LITTLE_BYTES` bytes."""

UNREADABLE_REMEDY = (
    "have the broker serve an intact replica and start the worker again; if no replica is intact, or no client can decode the batch, "
    "delete the records up to and including the batch, and run wordcount reset, which counts again what the input has then"
)
"""Remedy for a record batch whose checksum does not match its content, or that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The batches that one poll brought of one partition: the value of one Faust event.

    Attributes:
        batches: at least one, in offset order; each begins where the batch before it ends.
        highwater: offset after the last readable record of the partition, as of the fetch.
    """

    batches: list[RecordBatch]
    highwater: int


class _NoReadOffsets(dict[TP, int | None]):
    """A mapping that says for every partition that nothing was read.

    Faust drops messages below the last offset that it read; after a seek to an earlier position those messages are needed.
    """

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass


class _Forgotten(dict[TP, Any]):
    """A mapping that stores nothing: every look-up returns a new, empty collection."""

    def __init__(self, kind: Callable[[], Any]) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, tp: TP) -> Any:
        return self._kind()


class BatchConsumer(driver.Consumer):
    """Delivers `Fetched` batches of the partitions that `Partitions.choose_for_poll` names."""

    app: WorkerApp

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._read_offset = _NoReadOffsets()
        # Faust's compiled stream adds every offset to these collections without a call of `ack`, and only a commit by Faust
        # would remove the offsets again.
        self._acked = _Forgotten(list)
        self._acked_index = _Forgotten(set)
        self._paced_until = 0.0

    @property
    def membership(self) -> BatchConsumerThread:
        """The thread that is the member of the consumer group."""
        thread: BatchConsumerThread = self._thread
        return thread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Fetched]]:
        counts = self.app.partitions
        if (pause_s := self._paced_until - monotonic()) > 0:
            await asyncio.sleep(pause_s)
        chosen = counts.choose_for_poll()
        wanted = {tp for tp in active_partitions or () if tp.partition in chosen}
        if not wanted:
            # aiokafka would take an empty set for all partitions.
            self.membership.note_poll()
            await asyncio.sleep(_IDLE_S)
            return {}
        self.membership.bound_poll(fetching.POLL_BYTES)
        # While some partitions are left out, wait for a short time only: such a partition may become able to take records in.
        wait_s = timeout if len(wanted) == len(self.assignment()) else _IDLE_S
        try:
            found = await super()._getmany(active_partitions=wanted, timeout=wait_s)
        except OffsetOutOfRangeError as error:
            for tp in error.args[0]:
                counts.examine_again(tp.partition)
            return {}
        except fetching.UnreadableBatchError as error:
            number = error.topic_partition.partition
            if number in counts.partition_numbers():
                counts.stop_at_unreadable(
                    number, error.offset, InexactError(error.description, UNREADABLE_REMEDY)
                )
            await asyncio.sleep(_IDLE_S)
            return {}
        except KafkaError as error:
            # Raised from here, the error would make Faust's fetcher end the process with a traceback.
            if (denied := self.membership.denied(error)) is None:
                raise
            self.app.end(denied)
            await asyncio.sleep(_IDLE_S)
            return {}
        if _is_little([batch for batches in found.values() for batch in batches]):
            self._paced_until = monotonic() + PACE_S
        arrived = {tp: [one for one in batches if not one.is_pause] for tp, batches in found.items()}
        return {
            tp: [Fetched(batches, self.membership.readable_end(tp))]
            for tp, batches in arrived.items()
            if batches
        }

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
        await self.app.partitions.suspend(
            clean=self.membership.is_member(), timeout_s=self.app.conf.broker_rebalance_timeout / 2
        )
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Let Faust set up its streams, then open and restore the stores in the background."""
        await super().on_partitions_assigned(assigned, generation_id)
        if not self.app.should_stop:
            try:
                group_map = self.membership.group_map
                standby = () if group_map is None else group_map.myself.standby
                await self.app.partitions.assign({tp.partition for tp in assigned}, standby)
                self.membership.bound_fetches(self.app.consumer_options.memory.bounds.fetch_bytes)
            except Exception as error:  # noqa: BLE001 - aiokafka would log any error and go on without the partitions
                self.app.end(error)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Do nothing: a partition is seeked to the position in its store when the partition has been restored."""
        return {}

    def ack(self, message: Any) -> bool:
        """Forget the message: its records are in a buffer, and a flush commits their offsets. Always return True."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(())

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: batches cover gaps between offsets."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's check looks at acknowledgements, which this consumer does not keep."""


def _is_little(batches: Collection[RecordBatch]) -> bool:
    return (
        sum(batch.record_count for batch in batches) < LITTLE_RECORDS
        and sum(batch.byte_count for batch in batches) < LITTLE_BYTES
        and not any(batch.is_pause for batch in batches)
    )


class BatchTransport(driver.Transport):
    """Faust's transport with `BatchConsumer` as its consumer."""

    Consumer = BatchConsumer
