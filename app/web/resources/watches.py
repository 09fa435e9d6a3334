"""`/v1/watches`: how the watches stand, told by the worker that sends, whichever is asked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.watch_bodies import Watches
from app.web.disconnection import while_connected
from app.web.parameters import query_parameters
from app.web.ports import WatchStates
from app.web.problems import NoWatchesError
from app.web.resource import Resource
from app.web.responses import json_response


def routes(states: WatchStates | None) -> list[Resource]:
    """Return the route of `/v1/watches`; `states` = None where none are configured."""

    async def get_watches(request: Request) -> Response:
        query_parameters(request)
        return json_response(await while_connected(request, watch_states(states)))

    return [Resource("/v1/watches", get_watches)]


async def watch_states(states: WatchStates | None) -> Watches:
    """Return how the watches stand as the body of an answer.

    Raises:
        NoWatchesError: no watches are configured in this process.
        NotReadyError: the worker that sends is not known, or does not answer.
    """
    if states is None:
        raise NoWatchesError(
            "this process has no watches", "ask a worker with WORDCOUNT_WATCHES; a view has none in any case"
        )
    return await states.state()
