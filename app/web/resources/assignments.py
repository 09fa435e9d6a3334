"""`/v1/assignments`: which worker counts and follows which partition, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import AssignedWorker, AssignmentMap, FollowedPartition, OwnedPartition
from app.reads.answers import FollowerStatus, PartitionStatus, Queries
from app.web.disconnection import while_connected
from app.web.parameters import query_parameters
from app.web.resource import Resource
from app.web.responses import json_response

if TYPE_CHECKING:
    from tables.observer import PartitionState


def routes(queries: Queries) -> list[Resource]:
    """Return the route of `/v1/assignments`."""

    async def get_assignments(request: Request) -> Response:
        query_parameters(request)
        found = await while_connected(request, queries.assignments())
        workers = [
            AssignedWorker(
                worker.url,
                worker.is_here,
                worker.problem,
                worker.version,
                _owned(worker.active),
                _followed(worker.standby),
            )
            for worker in found.workers
        ]
        return json_response(AssignmentMap(found.generation, found.partitions, workers))

    return [Resource("/v1/assignments", get_assignments)]


def _owned(statuses: Mapping[int, PartitionStatus | None]) -> dict[int, OwnedPartition | None]:
    return {
        number: None if status is None else _owned_partition(status)
        for number, status in sorted(statuses.items())
    }


def _owned_partition(status: PartitionStatus) -> OwnedPartition:
    restored = 0.0 if status.state == "restoring" else 1.0
    if status.restore is not None:
        restored = status.restore.share
    state = cast("PartitionState", status.state)  # Only who does not own a partition follows it.
    return OwnedPartition(state, status.position, status.lag_records, restored, status.error)


def _followed(statuses: Mapping[int, FollowerStatus | None]) -> dict[int, FollowedPartition | None]:
    return {
        number: None if status is None else _followed_partition(status)
        for number, status in sorted(statuses.items())
    }


def _followed_partition(status: FollowerStatus) -> FollowedPartition:
    behind = status.behind
    return FollowedPartition(
        status.state, status.position, behind.records, behind.seconds, status.restored, status.error
    )
