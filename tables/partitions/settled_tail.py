"""The tail of the changelog with a delay: followers are shown no record that was appended less than `SETTLE_S` ago.

A flush is in the changelog a moment before its owner shows the flush. If a follower showed the flush in this moment, a client that
asks the owner next would see counts go back. So followers show a flush only `SETTLE_S` after the end behind the flush was told, and an
owner answers from before a flush only for `OWNER_S` after it sent the flush's marker, which is the last record
(`tables.partitions.freshness`). Both measure durations on their own clocks. A process that was stopped meanwhile finds its own time
over.

While records wait, the id of the changelog is looked up: a topic that was deleted and created again is read on under its name, and
would look like the former one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tables.errors import InexactError
from tables.model.records import ChangelogSlice
from tables.ports import ChangelogTail, Tailed
from tables.threads import beside_the_loop

SETTLE_S: Final = 0.3
"""Least age of a record, as the reader knows it, before followers take it in."""

OWNER_S: Final = 0.25
"""How long an owner may answer from before a flush whose marker it has sent; below `SETTLE_S`."""

MOST_BYTES: Final = 32 << 20
"""Most bytes of records that wait, of all partitions together; beyond them nothing more is read."""


class SettledTail:
    """Delivers what another tail reads, with a delay; implements `tables.ports.ChangelogTail`.

    Args:
        tail: reads the changelog.
        clock: returns monotonic seconds.
    """

    def __init__(self, tail: ChangelogTail, clock: Callable[[], float]) -> None:
        self._tail = tail
        self._clock = clock
        self._confirmed_s = -math.inf
        self._queues: dict[int, _Queue] = {}
        self._told: dict[int, _End] = {}
        """The end of each partition that was told before its records were read."""

    @property
    def holds_records(self) -> bool:
        """Whether records wait."""
        return any(queue.byte_count for queue in self._queues.values())

    def confirm(self, asked_s: float) -> None:
        """Deliver what was read until `asked_s`, when it is old enough: the changelog was then still the one that is followed."""
        self._confirmed_s = asked_s

    def told(self, number: int, end: int, asked_s: float) -> None:
        """Note where a broker says that a partition ends: records below that end are old enough when this is long enough ago.

        Args:
            number: the partition, which is not read yet.
            end: offset after its last record.
            asked_s: when the broker was asked.
        """
        self._told[number] = _End(self._clock(), end, asked_s)

    @beside_the_loop
    def poll(self, wanted: Mapping[int, int], timeout_s: float) -> Mapping[int, Tailed]:
        """Return the records that are old enough, see `ChangelogTail.poll`."""
        self._queues = {number: self._queue(number, start) for number, start in wanted.items()}
        queues = self._queues
        waits_s = [queue.due_in_s(self._clock()) for queue in queues.values()]
        full = sum(queue.byte_count for queue in queues.values()) >= MOST_BYTES
        reading = {number: queue.next for number, queue in queues.items() if not (full and queue.byte_count)}
        found = self._tail.poll(reading, max(0.0, min([timeout_s, *waits_s])))
        now_s = self._clock()
        for number, part in found.items():
            queues[number].push(part, now_s)
        old_s = min(now_s - SETTLE_S, self._confirmed_s)
        return {number: queue.due(old_s, now_s) for number, queue in queues.items()}

    def wake(self) -> None:
        """End the poll under way, or the next poll, see `ChangelogTail.wake`."""
        self._tail.wake()

    @beside_the_loop
    def close(self) -> None:
        """Forget what waits, and close the connections, see `ChangelogTail.close`."""
        self._queues = {}
        self._tail.close()

    def _queue(self, number: int, start: int) -> _Queue:
        """Return the queue of a partition; a new one if the follower goes on elsewhere than the queue."""
        queue = self._queues.get(number)
        return (
            queue
            if queue is not None and queue.delivered == start
            else _Queue(start, self._told.pop(number, None))
        )


class _End(NamedTuple):
    """An end of the changelog: when it was received, the offset, and when the broker still said so (`Tailed.told_s`)."""

    received_s: float
    offset: int
    told_s: float


class _Queue:
    """What was read of one partition and is not old enough.

    Args:
        start: next offset to deliver.
        end: an end that was told before; None = no end was told.

    Attributes:
        delivered: next offset to deliver.
        next: next offset to read.
        byte_count: bytes of the records that wait.
    """

    def __init__(self, start: int, end: _End | None) -> None:
        self.delivered = self.next = start
        self.byte_count = 0
        self._slices: deque[ChangelogSlice] = deque()
        self._error: InexactError | None = None
        self._ends = deque([] if end is None else [end])
        """Ends that were received less than `SETTLE_S` ago, in order."""
        self._settled: _End | None = None
        """The last end that is old enough."""
        self._latest_end: int | None = None

    def push(self, part: Tailed, now_s: float) -> None:
        """Append what was read now."""
        for one in part.slices:
            self.next = one.next_offset
            self.byte_count += one.byte_count
            self._slices.append(one)
        self._error = self._error or part.error
        if part.end is not None:
            self._latest_end = max(part.end, self.next)
            self._ends.append(_End(now_s, self._latest_end, part.told_s))

    def due_in_s(self, now_s: float) -> float:
        """Return the seconds until something more may be old enough; infinity if no records wait."""
        if not self._slices or not self._ends:
            return math.inf
        return max(0.0, self._ends[0].received_s + SETTLE_S - now_s)

    def due(self, old_s: float, now_s: float) -> Tailed:
        """Return the records that were received until `old_s`, with the end that is as old."""
        while self._ends and self._ends[0].received_s <= old_s:
            self._settled = self._ends.popleft()
        end = self._settled
        if end is None:
            return Tailed((), None, now_s, latest_end=self._latest_end)
        found: list[ChangelogSlice] = []
        while self._slices and self._slices[0].next_offset <= end.offset:
            found.append(self._slices.popleft())
            self.byte_count -= found[-1].byte_count
            self.delivered = found[-1].next_offset
        error, self._error = (None, self._error) if self._slices else (self._error, None)
        return Tailed(found, end.offset, end.told_s, error, self._latest_end)
