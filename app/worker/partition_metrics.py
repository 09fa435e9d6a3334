"""Gauges of partitions: those that this process owns and those that it follows, computed at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.reads.answers import FollowerStatus, PartitionStatus

MOST_ENDS: Final = 256
"""Ends of a partition that are remembered: every scrape sees another one while records arrive."""


class LagTimes:
    """Finds out since when the position of a partition is behind, from the ends that were seen at earlier looks.

    Records need no times for that, and their producers no right clocks. The answer is as fine as the looks are frequent.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seen: dict[int, list[tuple[int, float]]] = {}
        """Partition -> (end, when it was first seen), ascending; only ends beyond the position."""

    def lag_s(self, partition: int, position: int, end: int) -> float:
        """Return for how many seconds the first record that is not counted has been known; 0 = all known records are counted.

        Args:
            partition: number of the partition.
            position: next offset to count.
            end: offset after the last known record.
        """
        now_s = self._clock()
        seen = [one for one in self._seen.get(partition, ()) if position < one[0] <= end]
        if end > position and (not seen or seen[-1][0] < end):
            seen.append((end, now_s))
        if len(seen) > MOST_ENDS:
            # Without every other one the answer is never too small, and at most twice as coarse.
            seen = seen[::2]
        self._seen[partition] = seen
        return now_s - seen[0][1] if seen else 0.0

    def forget_others(self, partitions: Iterable[int]) -> None:
        """Forget all but `partitions`."""
        self._seen = {number: self._seen[number] for number in partitions if number in self._seen}


class PartitionGauges(Collector):
    """Gauges per partition that this process owns; a value that is not known has no sample.

    Args:
        partitions: returns the status of each partition.
        store_bytes: returns the bytes of the files of each store.
        lags: finds out since when positions are behind.
    """

    def __init__(
        self,
        partitions: Callable[[], Mapping[int, PartitionStatus]],
        store_bytes: Callable[[], Mapping[int, int]] = dict,
        lags: LagTimes | None = None,
    ) -> None:
        self._partitions = partitions
        self._store_bytes = store_bytes
        self._lags = lags or LagTimes()

    def describe(self) -> Iterable[Metric]:
        """Return the gauges without samples, because the partitions may not exist yet."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return position, lag, size and restore of each partition of this process."""
        families = self._families()
        statuses, sizes = self._partitions(), self._store_bytes()
        self._lags.forget_others(statuses)
        for number, status in sorted(statuses.items()):
            restore = status.restore
            left = (restore.share, restore.records_left, restore.seconds_left) if restore is not None else ()
            known = (status.position, status.lag_records, self._lag_s(number, status), sizes.get(number))
            for family, value in zip(families, (*known, *left), strict=False):
                if value is not None:
                    family.add_metric([str(number)], value)
        return families

    def _lag_s(self, number: int, status: PartitionStatus) -> float | None:
        if status.position is None or status.lag_records is None:
            return None
        return self._lags.lag_s(number, status.position, status.position + status.lag_records)

    def _families(self) -> Sequence[GaugeMetricFamily]:
        texts = {
            "wordcount_position_offset": "Next offset to count, durable.",
            "wordcount_lag_records": "Offsets between the position and the end of the partition.",
            "wordcount_lag_seconds": "For how long a record has been known that is not counted yet, as far as scrapes have seen it; "
            "0 = all known records are counted.",
            "wordcount_store_bytes": "Bytes of the files of the partition's store.",
            "wordcount_restore_ratio": "Share of the changelog that a restore under way has read, from 0 to 1.",
            "wordcount_restore_left_records": "Changelog records that a restore under way has still to read, at most.",
            "wordcount_restore_left_seconds": "Seconds that a restore under way still takes if its speed stays the same.",
        }
        return [GaugeMetricFamily(name, text, labels=["partition"]) for name, text in texts.items()]


class FollowerGauges(Collector):
    """Gauges per partition that this process follows.

    Args:
        followers: returns the status of each follower.
    """

    def __init__(self, followers: Callable[[], Mapping[int, FollowerStatus]]) -> None:
        self._followers = followers

    def describe(self) -> Iterable[Metric]:
        """Return the gauges without samples, because the followers may not exist yet."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return how far each follower is."""
        families = self._families()
        for number, status in sorted(self._followers().items()):
            behind = status.behind
            for family, value in zip(
                families,
                (behind.records, behind.seconds, status.restored, status.state == "stopped"),
                strict=True,
            ):
                family.add_metric([str(number)], float(value))
        return families

    def _families(self) -> Sequence[GaugeMetricFamily]:
        texts = {
            "wordcount_follower_behind_records": "Changelog records that a follower has not read yet, at most.",
            "wordcount_follower_behind_seconds": "Seconds since a follower had read the whole changelog; 0 = it has read it.",
            "wordcount_follower_restored_ratio": "Share of the changelog that a follower has read, from 0 to 1.",
            "wordcount_follower_stopped": "1 for a follower that has stopped because of an error.",
        }
        return [GaugeMetricFamily(name, text, labels=["partition"]) for name, text in texts.items()]
