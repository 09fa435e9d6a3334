"""The recount that chaos and soak runs compare counts with: a plain Kafka consumer and `bytes.split`."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.chaos.windowed import WindowTruth

READ_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The count of one word that a worker answered over HTTP."""

    worker: str
    word: str
    count: int
    as_of: Mapping[int, int]


class Recount:
    """Counts of a topic under profile whitespace; `advance` counts the records that were appended since its last call.

    Args:
        topic: a topic that still has all of its records.
        watched: words whose counts are known at every offset, not only at the end.
        windowed: whether windows are counted, too.

    Attributes:
        windows: what is true of the windows of each partition; empty unless `windowed`.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        partitions: int,
        watched: tuple[str, ...],
        *,
        windowed: bool = False,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.next = dict.fromkeys(range(partitions), 0)
        self.records = 0
        self.windows = {number: WindowTruth() for number in self.next} if windowed else {}
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._watched = {word.encode() for word in watched}
        self._places: dict[tuple[str, int], list[int]] = defaultdict(list)

    async def advance(self) -> dict[int, int]:
        """Count all records up to the present end offsets, and return these offsets by partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers, auto_offset_reset="none", enable_auto_commit=False
        )
        async with asyncio.timeout(READ_TIMEOUT_S), consumer:
            partitions = {number: TopicPartition(self._topic, number) for number in self.next}
            consumer.assign(list(partitions.values()))
            ends = {
                tp.partition: end for tp, end in (await consumer.end_offsets([*partitions.values()])).items()
            }
            for number, tp in partitions.items():
                consumer.seek(tp, self.next[number])
            while any(self.next[number] < end for number, end in ends.items()):
                for tp, records in (await consumer.getmany(timeout_ms=100, max_records=2000)).items():
                    for record in records:
                        if record.offset < ends[tp.partition]:
                            self._count(tp.partition, record.offset, record.value or b"", record.timestamp)
                for number, tp in partitions.items():
                    # The last record may be followed by offsets without a record, as a transaction marker has.
                    self.next[number] = min(ends[number], await consumer.position(tp))
        return ends

    def at(self, word: str, as_of: Mapping[int, int]) -> int:
        """Return the count of a watched word below the offsets `as_of` (exclusive), up to which `advance` must have counted."""
        return sum(bisect_left(self._places[word, number], upto) for number, upto in as_of.items())

    def _count(self, partition: int, offset: int, value: bytes, time_ms: int) -> None:
        self.records += 1
        words = value.split()
        if self.windows:
            self.windows[partition].take(offset, time_ms, words)
        self.counts.update(word.decode() for word in words)
        for word in words:
            if word in self._watched:
                self._places[word.decode(), partition].append(offset)
