"""Prometheus metrics of a worker: what the core, HTTP and the event loop report, in a registry per instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.reads.answers import FollowerStatus, PartitionStatus
from app.worker.watch_metrics import WatchMetrics
from app.worker.window_metrics import LeftOutRecords, PartitionWindows, WindowGauges
from tables.model.tally import Totals
from tables.observer import PartitionState

_STATES: tuple[PartitionState, ...] = ("restoring", "counting", "stopped")
_FLUSH_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RESTORE_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
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
        self._http_connections = Gauge(
            "wordcount_http_connections", "Open HTTP connections.", registry=self.registry
        )
        self._http_closed = Counter(
            "wordcount_http_connections_closed",
            "HTTP connections that the worker closed: silent (no request within 10 s), slow (request incomplete after 10 s), unread "
            "(answer not read within 30 s), shed (idle, closed for a new connection), refused (too many connections), malformed (not "
            "HTTP, or not TLS where TLS is on).",
            ["reason"],
            registry=self.registry,
        )
        self._stream_clients = Gauge(
            "wordcount_stream_clients", "Clients that have a stream of `/v1/stream`.", registry=self.registry
        )
        self._stream_events = Counter(
            "wordcount_stream_events",
            "Events sent to clients of `/v1/stream`: snapshot, change or unavailable.",
            ["event"],
            registry=self.registry,
        )
        self._ingest_requests = Counter(
            "wordcount_ingest_requests",
            "Requests of `/v1/texts` by outcome: accepted, or the name of the problem.",
            ["outcome"],
            registry=self.registry,
        )
        self._ingest_texts = Counter(
            "wordcount_ingest_texts",
            "Texts given to the brokers by outcome: accepted, in_doubt (not confirmed).",
            ["outcome"],
            registry=self.registry,
        )
        self._ingest_bytes = Counter(
            "wordcount_ingest_bytes",
            "Bytes of accepted bodies of `/v1/texts`, unpacked.",
            registry=self.registry,
        )
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

    def watch(
        self,
        partitions: Callable[[], Mapping[int, PartitionStatus]],
        followers: Callable[[], Mapping[int, FollowerStatus]],
    ) -> None:
        """Add gauges of position, lag and restore, read from `partitions` and `followers` at each scrape. To be called once."""
        self.registry.register(_PartitionGauges(partitions))
        self.registry.register(_FollowerGauges(followers))

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

    def loop_delayed(self, delay_s: float) -> None:
        """Record a measured delay of the event loop, in seconds."""
        self._loop_delay_s.observe(delay_s)
        if delay_s > self._longest_s:
            self._longest_s = delay_s
            self._longest_loop_delay_s.set(delay_s)

    def flush_pause(self, ratio: float) -> None:
        """Show how long the worker pauses after a flush, as a multiple of the flush."""
        self._pause_ratio.set(ratio)

    def http_connections(self, open_now: int) -> None:
        """Show how many connections are open."""
        self._http_connections.set(open_now)

    def http_connection_closed(self, reason: str) -> None:
        """Count a connection that the worker closed."""
        self._http_closed.labels(reason).inc()

    def stream_clients(self, open_now: int) -> None:
        """Show how many clients have a stream."""
        self._stream_clients.set(open_now)

    def stream_event(self, kind: str) -> None:
        """Count an event that was sent to one client."""
        self._stream_events.labels(kind).inc()

    def ingest_requested(self, outcome: str) -> None:
        """Count a request with texts."""
        self._ingest_requests.labels(outcome).inc()

    def ingested(self, *, accepted: int, in_doubt: int, byte_count: int) -> None:
        """Count texts that were given to the brokers."""
        self._ingest_texts.labels("accepted").inc(accepted)
        self._ingest_texts.labels("in_doubt").inc(in_doubt)
        self._ingest_bytes.inc(byte_count)

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


class _PartitionGauges(Collector):
    """Gauges per partition, computed at each scrape; a value that is not known has no sample."""

    def __init__(self, partitions: Callable[[], Mapping[int, PartitionStatus]]) -> None:
        self._partitions = partitions

    def describe(self) -> Iterable[Metric]:
        """Return the gauges without samples, because the partitions may not exist yet."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return position, lag and restore of each partition of this process."""
        families = self._families()
        for number, status in sorted(self._partitions().items()):
            restore = status.restore
            left = (restore.share, restore.records_left, restore.seconds_left) if restore is not None else ()
            for family, value in zip(families, (status.position, status.lag_records, *left), strict=False):
                if value is not None:
                    family.add_metric([str(number)], value)
        return families

    def _families(self) -> Sequence[GaugeMetricFamily]:
        texts = {
            "wordcount_position_offset": "Next offset to count, durable.",
            "wordcount_lag_records": "Offsets between the position and the end of the partition.",
            "wordcount_restore_ratio": "Share of the changelog that a restore under way has read, from 0 to 1.",
            "wordcount_restore_left_records": "Changelog records that a restore under way has still to read, at most.",
            "wordcount_restore_left_seconds": "Seconds that a restore under way still takes if its speed stays the same.",
        }
        return [GaugeMetricFamily(name, text, labels=["partition"]) for name, text in texts.items()]


class _FollowerGauges(Collector):
    """Gauges per partition that this process follows, computed at each scrape."""

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
