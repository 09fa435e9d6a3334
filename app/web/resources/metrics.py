"""`/metrics`: the metrics in Prometheus text format, or in OpenMetrics format if the scraper accepts it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from app.web.resource import Resource
from app.web.responses import HEADERS


def routes(registry: CollectorRegistry) -> list[Resource]:
    """Return the route of `/metrics`."""

    async def get_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={**HEADERS, "Content-Type": content_type})

    return [Resource("/metrics", get_metrics)]
