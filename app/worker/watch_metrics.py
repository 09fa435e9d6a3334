"""Prometheus metrics of watches: crossings, deliveries, and how many wait."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge


class WatchMetrics:
    """Implements `app.watches.courier.WatchObserver`.

    Args:
        registry: gets the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._crossings = Counter(
            "wordcount_watch_crossings", "Crossings of watches that this worker has found.", registry=registry
        )
        self._deliveries = Counter(
            "wordcount_watch_deliveries",
            "Attempts to deliver crossings: delivered or failed; given_up: crossings whose receiver has not accepted them for a day.",
            ["outcome"],
            registry=registry,
        )
        self._waiting = Gauge(
            "wordcount_watch_waiting_crossings", "Crossings that wait to be delivered.", registry=registry
        )
        self._left_out = Gauge(
            "wordcount_watch_left_out_words",
            "Words beyond the bound of a window in the last looks: they have crossed, and nobody is told.",
            registry=registry,
        )
        self._owner = Gauge(
            "wordcount_watch_owner",
            "1 for the worker that looks at the watches and sends.",
            registry=registry,
        )

    def watch_crossings(self, found: int) -> None:
        """Count crossings that were found."""
        self._crossings.inc(found)

    def watch_delivery(self, outcome: Literal["delivered", "failed", "given_up"]) -> None:
        """Count the end of an attempt, or a crossing that was given up."""
        self._deliveries.labels(outcome).inc()

    def watches_stand(self, *, waiting: int, left_out: int, is_owner: bool) -> None:
        """Show how the watches stand."""
        self._waiting.set(waiting)
        self._left_out.set(left_out)
        self._owner.set(is_owner)
