"""`/v1/stats`: totals, and where each partition stands."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.reads.answers import PartitionStatus, Queries
from app.web.parameters import query_parameters
from app.web.resource import Resource
from app.web.responses import freshness, json_response


def routes(queries: Queries) -> list[Resource]:
    """The route of totals."""

    async def get_stats(request: Request) -> Response:
        query_parameters(request)
        answer = await queries.stats()
        totals, partitions = answer.value.totals, answer.value.partitions
        return json_response(
            {
                "records": totals.records,
                "words": totals.words,
                "counted": totals.counted,
                "skipped": totals.skipped,
                "dead_lettered": totals.dead_lettered,
                "dropped_words": totals.dropped_words,
                **freshness(answer),
                "partitions": {str(number): _status(partitions[number]) for number in sorted(partitions)},
            }
        )

    return [Resource("/v1/stats", get_stats)]


def _status(status: PartitionStatus) -> dict[str, object]:
    return {
        "state": status.state,
        "position": status.position,
        "highwater": status.highwater,
        "lag_records": status.lag_records,
    }
