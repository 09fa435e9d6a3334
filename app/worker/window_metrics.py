"""Metrics of windows: records that are left out of them, the time of the records, and the windows that are open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tables.model.durations import duration_text
from tables.model.tally import Totals
from tables.model.windowing import LEFT_OUT
from tables.model.windows import WindowState
from tables.partitions.shard import Shard

_LATE = LEFT_OUT[-1]


class PartitionWindows(NamedTuple):
    """The windows of a partition that this process counts.

    Attributes:
        state: windows of its marker.
        open_panes: size of a pane in seconds -> number of panes that take records and have their counts in memory.
    """

    state: WindowState
    open_panes: Mapping[int, int]


def windows_of_shards(shards: Mapping[int, Shard]) -> Mapping[int, PartitionWindows]:
    """Return the windows of each partition that counts windows and can answer."""
    found: dict[int, PartitionWindows] = {}
    for number, shard in shards.items():
        marker = shard.marker
        if marker is not None and marker.windows is not None:
            found[number] = PartitionWindows(marker.windows, shard.panes.open_panes())
    return found


class LeftOutRecords:
    """Counts the records that are left out of windows, by reason and size.

    Args:
        registry: where the counter is registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = Counter(
            "wordcount_records_left_out_of_windows",
            "Records left out of windows, by reason: late (for each `size` whose window and grace are over; of a hopping window the "
            "size of its panes), or for all sizes, with an empty `size`: missing_time, unreadable_time, impossible_time (not from "
            "1990 to 9999), jump (alone further ahead than WORDCOUNT_MAX_JUMP). They are counted in the totals nevertheless.",
            ["reason", "size"],
            registry=registry,
        )

    def add(self, totals: Totals) -> None:
        """Add the records of a durable flush."""
        for reason, count in totals.untimed.items():
            self._records.labels(reason, "").inc(count)
        for size_s, count in totals.late.items():
            self._records.labels(_LATE, duration_text(int(size_s))).inc(count)


class WindowGauges(Collector):
    """Gauges of each partition that counts windows, computed at each scrape; a value that is not known has no sample.

    Args:
        windows: returns the windows of each partition of this process.
        now_s: returns the time in seconds since 1970, by the clock of this machine.
    """

    def __init__(
        self, windows: Callable[[], Mapping[int, PartitionWindows]], now_s: Callable[[], float] = time.time
    ) -> None:
        self._windows = windows
        self._now_s = now_s

    def describe(self) -> Iterable[Metric]:
        """Return the gauges without samples, because the partitions may not exist yet."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return how far the time of each partition is, and its open windows."""
        families = self._families()
        stream, behind, jump, panes = families
        now_s = self._now_s()
        for number, found in sorted(self._windows().items()):
            partition, clock = str(number), found.state.clock
            if clock.stream_ms is not None:
                stream.add_metric([partition], clock.stream_ms / 1000)
                behind.add_metric([partition], now_s - clock.stream_ms / 1000)
            jump.add_metric([partition], 0 if clock.jump is None else clock.jump.records)
            for size in found.state.sizes:
                size_s = size.rule.size_s
                panes.add_metric([partition, duration_text(size_s)], found.open_panes.get(size_s, 0))
        return families

    def _families(self) -> Sequence[GaugeMetricFamily]:
        texts = {
            "wordcount_stream_time_seconds": "Largest time of the records of a partition, in seconds since 1970: it decides which "
            "windows are over.",
            "wordcount_stream_time_behind_seconds": "Seconds by which the time of a partition is behind the clock of this machine; "
            "negative = it is ahead. It grows while no records come.",
            "wordcount_unconfirmed_jump_records": "Records in a row at the end of a partition that are further ahead than "
            "WORDCOUNT_MAX_JUMP, so that its time waits for more of them; 0 = there are none.",
        }
        partition = [GaugeMetricFamily(name, text, labels=["partition"]) for name, text in texts.items()]
        panes = GaugeMetricFamily(
            "wordcount_open_panes",
            "Windows, of hopping windows their panes, that still take records and have their counts in memory.",
            labels=["partition", "size"],
        )
        return [*partition, panes]
