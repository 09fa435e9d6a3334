"""`/v1/stats`: totals of records and words, and the state, position and lag of each partition."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import Partition, Stats
from app.reads.answers import PartitionStatus, PartWindows, Queries
from app.web.disconnection import while_connected
from app.web.parameters import query_parameters
from app.web.resource import Resource
from app.web.resources.windows import size_name, stream_time
from app.web.responses import REVALIDATED, freshness, json_response
from app.web.terms import NAMES, terms_of


def routes(queries: Queries) -> list[Resource]:
    """Return the route of `/v1/stats`."""

    async def get_stats(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        answer = await while_connected(request, queries.stats(terms))
        totals, partitions = answer.value.totals, answer.value.partitions
        return json_response(
            Stats(
                records=totals.records,
                words=totals.words,
                counted=totals.counted,
                skipped=dict(totals.skipped),
                dead_lettered=dict(totals.dead_lettered),
                dropped_words=dict(totals.dropped_words),
                partitions={
                    number: _partition(partitions[number], answer.value.windows.get(number))
                    for number in sorted(partitions)
                },
                **freshness(answer),
            ),
            headers=REVALIDATED,
        )

    return [Resource("/v1/stats", get_stats)]


def _partition(status: PartitionStatus, windows: PartWindows | None) -> Partition:
    members = (status.state, status.position, status.highwater, status.lag_records)
    if windows is None:
        return Partition(*members)
    late = {size_name(size): count for size, count in windows.late.items()}
    return Partition(*members, stream_time(windows), _open(windows), late, dict(windows.untimed))


def _open(windows: PartWindows) -> dict[str, int]:
    """Return the number of windows of each size that the partition may count records in, up to its stream time."""
    state = windows.windows
    stream_ms = None if state is None else state.stream_ms
    if state is None or stream_ms is None:
        return {}
    return {
        size_name(str(one.rule.size_s)): stream_ms // 1000 // one.rule.size_s
        - (stream_ms // 1000 - one.rule.grace_s) // one.rule.size_s
        + 1
        for one in state.sizes
    }
