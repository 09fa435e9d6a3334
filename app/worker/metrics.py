"""Prometheus metrics of a worker: what the core, HTTP and the event loop report, in a registry per instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

from app.bodies import Version
from app.reads.answers import FollowerStatus, PartitionStatus
from app.worker.http_metrics import HttpMetrics
from app.worker.partition_metrics import FollowerGauges, PartitionGauges
from app.worker.watch_metrics import WatchMetrics
from app.worker.window_metrics import LeftOutRecords, PartitionWindows, WindowGauges
from tables.model.tally import Totals
from tables.observer import PartitionState

_STATES: tuple[PartitionState, ...] = ("restoring", "counting", "stopped")
_FLUSH_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RESTORE_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_REBALANCE_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_LOOP_DELAY_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_PEER_ANSWER_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_ROWS = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)


class Metrics:
    """Metrics since the start of the process; implements `tables.observer.Observer`.

    Records read are always the sum of records counted, skipped and dead-lettered.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._read = Counter("wordcount_records_read", "Records read.", registry=self.registry)
        self._records = Counter(
            "wordcount_records",
            "What became of the records read: counted, skipped or dead_lettered, with the policy's reason.",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self._words = Counter("wordcount_words", "Occurrences of words counted.", registry=self.registry)
        self._dropped = Counter(
            "wordcount_dropped_words",
            "Words left out of counted records.",
            ["reason"],
            registry=self.registry,
        )
        self._left_out = LeftOutRecords(self.registry)
        self._flush_s = Histogram(
            "wordcount_flush_seconds",
            "Seconds from the start of a flush to its durable store write.",
            buckets=_FLUSH_S,
            registry=self.registry,
        )
        self._flush_rows = Histogram(
            "wordcount_flush_rows", "Distinct words in a flush.", buckets=_ROWS, registry=self.registry
        )
        self._flush_failures = Counter(
            "wordcount_flush_failures",
            "Flushes that did not become durable.",
            ["error"],
            registry=self.registry,
        )
        self._restore_s = Histogram(
            "wordcount_restore_seconds",
            "Seconds that the restore of a partition from its changelog took.",
            buckets=_RESTORE_S,
            registry=self.registry,
        )
        self._restored_rows = Counter(
            "wordcount_restored_rows", "Changelog rows read in restores.", registry=self.registry
        )
        self._rebalance_s = Histogram(
            "wordcount_rebalance_seconds",
            "Seconds of a rebalance, from the end of one assignment to the next one: no record is taken in meanwhile. The first "
            "assignment of the process is none.",
            buckets=_REBALANCE_S,
            registry=self.registry,
        )
        self._state = Gauge(
            "wordcount_partition_state",
            "1 for the state that an assigned partition is in: restoring, counting or stopped.",
            ["partition", "state"],
            registry=self.registry,
        )
        self._loop_delay_s = Histogram(
            "wordcount_event_loop_delay_seconds",
            "Delay of the event loop in seconds, measured every 10 ms.",
            buckets=_LOOP_DELAY_S,
            registry=self.registry,
        )
        self._longest_loop_delay_s = Gauge(
            "wordcount_event_loop_delay_max_seconds",
            "Longest delay of the event loop in seconds since the start of the process.",
            registry=self.registry,
        )
        self._pause_ratio = Gauge(
            "wordcount_flush_pause_ratio",
            "Pause after the flush of a large buffer as a multiple of the flush, 0 to 3: above 0 while questions find the event "
            "loop late.",
            registry=self.registry,
        )
        self.http = HttpMetrics(self.registry)
        self._peer_questions = Counter(
            "wordcount_peer_questions",
            "Questions to other workers by outcome: answered, unreachable (no connection), late (no answer in time), refused (an "
            "answer that cannot be used).",
            ["outcome"],
            registry=self.registry,
        )
        self._peer_answer_s = Histogram(
            "wordcount_peer_answer_seconds",
            "Seconds from a question to another worker to its answer.",
            buckets=_PEER_ANSWER_S,
            registry=self.registry,
        )
        self.watches = WatchMetrics(self.registry)
        self._longest_s = 0.0
        self._records.labels("counted", "")

    def describe(self, version: Version, memory_bytes: int) -> None:
        """Show the versions that run and the memory that the process may take. To be called once."""
        build = Info(
            "wordcount_build", "Versions that run, as labels; the value is 1.", registry=self.registry
        )
        build.info({"version": version.version, "python": version.python, "faust": version.faust})
        Gauge(
            "wordcount_memory_budget_bytes",
            "Memory that the process divides among its parts, see WORDCOUNT_MEMORY_MB.",
            registry=self.registry,
        ).set(memory_bytes)

    def watch(
        self,
        partitions: Callable[[], Mapping[int, PartitionStatus]],
        followers: Callable[[], Mapping[int, FollowerStatus]],
        store_bytes: Callable[[], Mapping[int, int]] = dict,
    ) -> None:
        """Add gauges of partitions and followers, read at each scrape. To be called once.

        Args:
            partitions: returns the status of each partition that this process owns.
            followers: returns the status of each partition that this process follows.
            store_bytes: returns the bytes of the files of each store.
        """
        self.registry.register(PartitionGauges(partitions, store_bytes))
        self.registry.register(FollowerGauges(followers))

    def watch_windows(self, windows: Callable[[], Mapping[int, PartitionWindows]]) -> None:
        """Add gauges of windows, read from `windows` at each scrape. To be called once."""
        self.registry.register(WindowGauges(windows))

    def flushed(
        self, partition: int, *, rows: int, words: int, records: int, duration_s: float, totals_delta: Totals
    ) -> None:
        """Count a durable flush."""
        self._read.inc(records)
        self._words.inc(words)
        self._records.labels("counted", "").inc(totals_delta.counted)
        for reason, count in totals_delta.skipped.items():
            self._records.labels("skipped", reason).inc(count)
        for reason, count in totals_delta.dead_lettered.items():
            self._records.labels("dead_lettered", reason).inc(count)
        for reason, count in totals_delta.dropped_words.items():
            self._dropped.labels(reason).inc(count)
        self._left_out.add(totals_delta)
        self._flush_s.observe(duration_s)
        self._flush_rows.observe(rows)

    def flush_failed(self, partition: int, error: Exception) -> None:
        """Count a failed flush by the type of its error."""
        self._flush_failures.labels(type(error).__name__).inc()

    def restored(self, partition: int, *, rows: int, duration_s: float) -> None:
        """Count a restore."""
        self._restored_rows.inc(rows)
        self._restore_s.observe(duration_s)

    def rebalanced(self, *, duration_s: float) -> None:
        """Count a rebalance."""
        self._rebalance_s.observe(duration_s)

    def loop_delayed(self, delay_s: float) -> None:
        """Record a measured delay of the event loop, in seconds."""
        self._loop_delay_s.observe(delay_s)
        if delay_s > self._longest_s:
            self._longest_s = delay_s
            self._longest_loop_delay_s.set(delay_s)

    def flush_pause(self, ratio: float) -> None:
        """Show how long the worker pauses after a flush, as a multiple of the flush."""
        self._pause_ratio.set(ratio)

    def peer_asked(self, outcome: str, duration_s: float) -> None:
        """Count a question to another worker; the duration, in seconds, counts if it was answered."""
        self._peer_questions.labels(outcome).inc()
        if outcome == "answered":
            self._peer_answer_s.observe(duration_s)

    def partition_state(self, partition: int, state: PartitionState) -> None:
        """Show the state of a partition until it is released."""
        if state == "released":
            self._state.remove_by_labels({"partition": str(partition)})
            return
        for other in _STATES:
            self._state.labels(str(partition), other).set(other == state)
