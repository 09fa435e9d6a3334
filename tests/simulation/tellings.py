"""The check that `tables.partitions.changes` reports each durable flush exactly once, judged by changelog and stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from tables.model.names import MARKER_KEY
from tables.model.rows import Marker, decode_marker, encode_marker
from tables.partitions.changes import Change
from tests.simulation.broker import Broker, Record
from tests.simulation.wrong_error import WrongError

if TYPE_CHECKING:
    from tables.partitions.owned_partition import OwnedPartition
    from tests.simulation.process import Process


@dataclass
class _Attempt:
    """The last flush of a partition that a process began to append.

    Attributes:
        part: the assigned partition of that flush. After its release the next owner has to find out what became of the flush.
        marker: the marker of the flush.
        told: whether the flush was reported.
    """

    part: OwnedPartition
    marker: Marker
    told: bool = False


class Tellings:
    """Compares the flushes that one process appends with the changes that it reports.

    Args:
        process: the process whose changes are subscribed to.
        broker: knows the truth about the input.

    Attributes:
        broken: the errors that were found.
    """

    def __init__(self, process: Process, broker: Broker) -> None:
        self.broken: list[WrongError] = []
        self._process = process
        self._broker = broker
        self._attempts: dict[int, _Attempt] = {}

    def appends(self, number: int, batches: Sequence[Sequence[Record]]) -> None:
        """Note records that are about to be sent. They are a flush if they end with a marker beyond the position of the store."""
        key, value = batches[-1][-1]
        part = self._process.counts._partitions.get(number)
        if key == MARKER_KEY and part is not None and part.shard.marker is not None:
            marker = decode_marker(value)
            if marker.position > part.shard.position:
                self._attempts[number] = _Attempt(part, marker)

    def told(self, change: Change) -> None:
        """Check a reported change. Subscribed to `Changes`."""
        if change.flushed is None:
            self._restored(change)
            return
        flushed, number = change.flushed, change.partition
        if not flushed.batches:
            # It counted nothing, and removed rows that count no longer: whether it is told makes no difference.
            return
        attempt = self._attempts.get(number)
        if attempt is None or attempt.marker != flushed.marker or change.position != flushed.marker.position:
            self._wrong(number, f"{flushed.marker} is told, the last one that was sent is {attempt}")
            return
        if attempt.told:
            self._wrong(number, f"{flushed.marker} is told again")
        attempt.told = True
        if encode_marker(flushed.marker) not in self._broker.markers[number]:
            self._wrong(number, f"{flushed.marker} is told, and nowhere in the changelog")
        source = self._broker.source_of(number, flushed.marker.topic_id)
        windows = source.windows.of(flushed.marker)
        begin = source.totals(flushed.batches[0].first_offset, windows)
        if begin + flushed.totals != source.totals(change.position, windows):
            self._wrong(number, f"{flushed.totals} is told of a flush up to {change.position}")

    def _restored(self, change: Change) -> None:
        """Forget a flush that is not in the changelog, while a restore went past its position by what others have counted."""
        attempt = self._attempts.get(change.partition)
        if attempt is None or change.position < attempt.marker.position:
            return
        if encode_marker(attempt.marker) not in self._broker.markers[change.partition]:
            del self._attempts[change.partition]

    def look_at(self, number: int) -> None:
        """Raise WrongError if a durable flush was not reported; call this for a partition without a running task only."""
        if self.broken:
            raise self.broken[0]
        attempt, part = self._attempts.get(number), self._process.counts._partitions[number]
        marker = part.shard.marker
        if attempt is None or attempt.told or attempt.part is not part or marker is None:
            return
        if _counted_as(marker) == _counted_as(attempt.marker):
            self._wrong(number, f"{attempt.marker} is in the store and was not told")
            raise self.broken[0]

    def _wrong(self, number: int, found: str) -> None:
        self.broken.append(
            WrongError(
                "each durable flush is told once", f"partition {number} of {self._process.name}: {found}"
            )
        )


def _counted_as(marker: Marker) -> Marker:
    """Return what a flush has put into its marker, without what a restore may replace.

    A marker of the same position and totals may be that of another flush: of a former assignment, whose rows are there and whose
    marker comes late. If that flush was larger, its marker says less exactly since when windows are counted.
    """
    return msgspec.structs.replace(marker, group="", topic_id="", changelog_id="", prior_position=0)
