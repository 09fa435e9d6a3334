"""Metrics of HTTP: connections, requests, streams, and texts that are taken."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class HttpMetrics:
    """What the web server, its routes, streams and the intake of texts report.

    Args:
        registry: where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._http_connections = Gauge(
            "wordcount_http_connections", "Open HTTP connections.", registry=registry
        )
        self._http_closed = Counter(
            "wordcount_http_connections_closed",
            "HTTP connections that the worker closed: silent (no request within 10 s), slow (request incomplete after 10 s), unread "
            "(answer not read within 30 s), shed (idle, closed for a new connection), refused (too many connections), malformed (not "
            "HTTP, or not TLS where TLS is on).",
            ["reason"],
            registry=registry,
        )
        self._stream_clients = Gauge(
            "wordcount_stream_clients", "Clients that have a stream of `/v1/stream`.", registry=registry
        )
        self._stream_events = Counter(
            "wordcount_stream_events",
            "Events sent to clients of `/v1/stream`: snapshot, change or unavailable.",
            ["event"],
            registry=registry,
        )
        self._ingest_requests = Counter(
            "wordcount_ingest_requests",
            "Requests of `/v1/texts` by outcome: accepted, or the name of the problem.",
            ["outcome"],
            registry=registry,
        )
        self._ingest_texts = Counter(
            "wordcount_ingest_texts",
            "Texts given to the brokers by outcome: accepted, in_doubt (not confirmed).",
            ["outcome"],
            registry=registry,
        )
        self._ingest_bytes = Counter(
            "wordcount_ingest_bytes",
            "Bytes of accepted bodies of `/v1/texts`, unpacked.",
            registry=registry,
        )
        self._requests = Counter(
            "wordcount_http_requests",
            "Requests by route and status: the path of the route, or none if the request was refused before it reached one, or "
            "nothing is there; the status code, or gone if the client went away before the answer began.",
            ["route", "status"],
            registry=registry,
        )
        self._request_s = Histogram(
            "wordcount_http_request_seconds",
            "Seconds from a request to the beginning of its answer, by route.",
            ["route"],
            buckets=_REQUEST_S,
            registry=registry,
        )

    def http_requested(self, route: str, status: str, duration_s: float) -> None:
        """Count a request."""
        self._requests.labels(route, status).inc()
        self._request_s.labels(route).observe(duration_s)

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
