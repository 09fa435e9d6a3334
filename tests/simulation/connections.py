"""The connections of a simulated process: changelog, group, input and dead letters, which may fail, pause or answer late.

The group is asked through the real `agents.source.membership` and `agents.source.kafka_source`; only aiokafka's consumer is a fake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from agents.source.kafka_source import GroupOwnership, KafkaSource
from agents.source.membership import BatchConsumerThread
from tables.errors import BrokerUnavailableError, FlushUnknownError, InexactError, PartitionsLostError
from tables.model.names import MARKER_KEY
from tables.model.records import ChangelogSlice, DeadLetter
from tables.model.rows import NO_ROWS, ChangelogRecord, RowColumns, decode_marker
from tables.ports import Tailed
from tests.simulation.broker import Record
from tests.simulation.threads import breathe
from tests.simulation.wrong_error import WrongError

if TYPE_CHECKING:
    from tests.simulation.process import Process

TOPIC, GROUP = "input", "group"


class Changelog:
    """Implements `tables.ports.Changelog`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def pack(
        self,
        first: Sequence[ChangelogRecord],
        rows: RowColumns = NO_ROWS,
        last: Sequence[ChangelogRecord] = (),
    ) -> list[list[Record]]:
        records = [(key, value or b"") for key, value in [*first, *rows.records(), *last]]
        size = self._process.random.randint(1, len(records))
        return [records[i : i + size] for i in range(0, len(records), size)]

    async def append(
        self,
        partition: int,
        records: Sequence[Sequence[Record]],
        before_last: Callable[[], Awaitable[None]] | None = None,
    ) -> list[tuple[int, int]]:
        process = self._process
        batches, ranges = list(records), []
        process.tellings.appends(partition, batches)
        self._announce(partition, batches)
        try:
            await process.pause()
            while batches:
                if len(batches) == 1 and before_last is not None:
                    await before_last()
                if process.fault():
                    raise FlushUnknownError("not acknowledged")
                log = process.broker.changelog[partition]
                if process.fault_rate and process.random.random() < process.late_rate:
                    log.delayed_arrives(process.random)
                stranger = process.fenced or process.broker.group.owners.get(partition) != process.name
                ranges.append(log.append(batches.pop(0), foreign=stranger))
                await process.pause()
        finally:
            # Batches whose append has failed may still arrive much later, in order.
            if batches and process.random.random() < 0.6:
                process.broker.changelog[partition].delayed.append(batches)
        if process.fault():
            raise FlushUnknownError("acknowledgement lost")
        if process.fault():
            return [(-1, -1)] * len(ranges)
        return ranges

    def _announce(self, partition: int, batches: Sequence[Sequence[Record]]) -> None:
        """Tell the truth about windows of the markers that are about to be sent: their rows come before them."""
        part = self._process.counts._partitions.get(partition)
        before = part.shard.marker if part is not None else None
        for key, value in chain.from_iterable(batches):
            if key == MARKER_KEY:
                marker = decode_marker(value)
                self._process.broker.source_of(partition, marker.topic_id).windows.announce(before, marker)
                before = marker

    async def identity(self) -> str:
        await self._process.answer()
        return self._process.broker.changelog_id

    async def end_offset(self, partition: int) -> int:
        await self._process.answer()
        return self._process.broker.changelog[partition].end

    def read(self, partition: int, start: int, end: int) -> Iterator[ChangelogSlice]:
        process, log = self._process, self._process.broker.changelog[partition]
        stop = log.end if process.random.random() < 0.2 else end
        while start < stop:
            breathe(reads=True)
            size = 1 if process.is_slow else process.random.randint(1, 6)
            # Compaction may have removed records since the last read.
            waiting = [record for record in log.records if start <= record[0] < stop]
            part = waiting[:size]
            if process.fault():
                raise BrokerUnavailableError("no answer")
            start = waiting[size][0] if len(waiting) > size else stop
            yield ChangelogSlice.of([(key, value) for _, key, value in part], start)


class Tail:
    """Implements `tables.ports.ChangelogTail`: slices of any length, which end anywhere in a flush."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def poll(self, wanted: Mapping[int, int], timeout_s: float) -> Mapping[int, Tailed]:
        process, found = self._process, {}
        if process.apart.random() < process.fault_rate:
            raise BrokerUnavailableError("no answer")
        for number, start in wanted.items():
            breathe(reads=True)
            log = process.broker.changelog[number]
            now_s = process.now_s()
            if start > log.end:
                found[number] = Tailed((), log.end, now_s, InexactError("out of range"))
                continue
            waiting = [record for record in log.records if record[0] >= start]
            sizes = [process.apart.randint(1, 6) for _ in range(process.apart.randint(0, 3))]
            slices, reached = [], start
            for size in sizes if process.fault_rate else [len(waiting)]:
                part, waiting = waiting[:size], waiting[size:]
                end = waiting[0][0] if waiting else log.end
                if end > reached:
                    slices.append(ChangelogSlice.of([(key, value) for _, key, value in part], end))
                    reached = end
            found[number] = Tailed(slices, log.end, now_s)
        return found

    def wake(self) -> None: ...

    def close(self) -> None: ...


class Lease:
    """The lease of a membership, which has expired when the group gives the partitions of the process to another one."""

    def __init__(self, process: Process, ownership: Ownership) -> None:
        self._process = process
        self._ownership = ownership

    def check(self) -> None:
        if self._process.fenced:
            raise PartitionsLostError("the last accepted heartbeat is too old")
        self._ownership.check()


class Membership:
    """The part of aiokafka's coordinator that `agents.source.membership` uses."""

    def __init__(self) -> None:
        self.lose()

    def join(self, member_id: str, generation: int) -> None:
        self.member_id, self.generation = member_id, generation

    def lose(self) -> None:
        """Lose the membership, as after a refused heartbeat; later commits are those of a client without a group."""
        self.member_id, self.generation = "", -1


class Consumer:
    """The part of aiokafka's consumer that `agents.source.membership` uses.

    Attributes:
        owned: partition -> position of the last commit that was accepted while the process owned it.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._coordinator = process.membership
        self.owned: dict[int, int] = {}

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC, number) for number in self._process.assigned}

    def seek(self, tp: TopicPartition, position: int) -> None:
        self._process.fetch_position[tp.partition] = position

    def resume(self, tp: TopicPartition) -> None: ...

    def committed(self, partition: int) -> int | None:
        """Return the offset that the group has committed; None if there is none."""
        return self._process.broker.group.committed.get(partition)

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        process, group = self._process, self._process.broker.group
        positions = {tp.partition: committed.offset for tp, committed in offsets.items()}
        if not positions.keys() <= process.assigned:
            raise IllegalStateError("not assigned")
        await process.pause()
        if process.fault():
            raise TimeoutError
        member_id, generation = process.membership.member_id, process.membership.generation
        await process.pause()
        if not group.commit(member_id, generation, positions):
            raise CommitFailedError
        self.owned.update(
            (number, position)
            for number, position in positions.items()
            if group.owned_by(process.name, number)
        )
        await process.pause()
        if process.fault():
            raise TimeoutError


class ConsumerThread(BatchConsumerThread):
    """The real consumer thread on a fake `Consumer`, run in the simulation's only thread."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._consumer = Consumer(process)
        self.app = SimpleNamespace(conf=SimpleNamespace(broker_session_timeout=10.0))

    def contact_age_s(self) -> float:
        """Return the age of the last accepted heartbeat: by chance too old, otherwise none."""
        return float("inf" if self._process.fault() else "-inf")

    async def call_thread(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        return await function(*arguments)


class Ownership(GroupOwnership):
    """The real ownership, with a check that each proof was accepted from the owner."""

    def __init__(self, thread: ConsumerThread) -> None:
        super().__init__(lambda: thread, TOPIC)
        self._consumer = thread._consumer

    async def prove(self, partition: int, position: int) -> None:
        self._consumer.owned.pop(partition, None)
        await super().prove(partition, position)
        if self._consumer.owned.get(partition) != position:
            raise WrongError(
                "ownership is proven by an owner alone",
                f"partition {partition}, position {position}: the commit was accepted from somebody else",
            )


class InputOffsets:
    """The part of `tables.kafka.offsets.TopicOffsets` that the input needs."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def topic_id(self, topic: str) -> str:
        await self._process.answer()
        return self._process.broker.source_id

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        await self._process.answer()
        source = self._process.broker.source[partition]
        return source.start, source.end

    async def exists(self, topic: str) -> bool:
        await self._process.answer()
        return True


class DeadLetters:
    """Implements `tables.ports.DeadLetters`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send(self, partition: int, letters: Sequence[DeadLetter]) -> None:
        await self._process.pause()
        if self._process.fault():
            raise FlushUnknownError("not acknowledged")
        self._process.broker.dead_letters[partition].update(letter.offset for letter in letters)


def connect(process: Process) -> tuple[Ownership, KafkaSource]:
    """Return ownership and source of a process, which share its consumer."""
    thread = ConsumerThread(process)
    return Ownership(thread), KafkaSource(lambda: thread, TOPIC, InputOffsets(process))


class LiveMembership:
    """The part of a consumer thread that the watchdog reads, in a healthy state."""

    def parked_error(self) -> BaseException | None:
        return None

    def is_member(self) -> bool:
        return True

    async def strangers(self) -> Sequence[str]:
        return []
