"""Metrics after one event of each kind, so that each has a sample with all its labels: what the page of metrics is made from."""

from __future__ import annotations

from app.bodies import Version
from app.reads.answers import Behind, FollowerStatus, PartitionStatus, RestoreStatus
from app.worker.metrics import Metrics
from app.worker.window_metrics import PartitionWindows
from tables.model.event_clock import EventClock
from tables.model.tally import Totals
from tables.model.windows import SizeRule, WindowRules, begun


def sampled_metrics() -> Metrics:
    """Return metrics with at least one sample each."""
    metrics = Metrics()
    metrics.flushed(
        0,
        rows=1,
        words=1,
        records=3,
        duration_s=1,
        totals_delta=Totals(3, 1, 1, one := {"reason": 1}, one, one, one, {"60": 1}),
    )
    metrics.flush_failed(0, TimeoutError())
    metrics.restored(0, rows=1, duration_s=1)
    metrics.rebalanced(duration_s=1)
    metrics.describe(Version("", "", ""), 1)
    metrics.partition_state(0, "counting")
    metrics.loop_delayed(0.1)
    metrics.http.http_requested("/v1/top", "200", 0.1)
    metrics.http.http_connection_closed("slow")
    metrics.http.stream_event("change")
    metrics.http.ingest_requested("accepted")
    metrics.http.ingested(accepted=1, in_doubt=1, byte_count=1)
    metrics.peer_asked("answered", 0.1)
    metrics.watches.watch_delivery("delivered")
    metrics.watch(
        lambda: {0: PartitionStatus("counting", 1, 2, RestoreStatus(0.5, 1, 1.0))},
        lambda: {1: FollowerStatus("following", 1, Behind(0, 0.0), 1.0)},
        lambda: {0: 1},
    )
    minutes = WindowRules((SizeRule(60, 6, 86_400),))
    windows = PartitionWindows(begun(minutes, 0).at(EventClock(0)), {60: 1})
    metrics.watch_windows(lambda: {0: windows})
    return metrics
