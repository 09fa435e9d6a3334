"""`/livez` and `/readyz`: the probes that say whether the process is alive, and whether it is ready to be asked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.bodies import Liveness, Readiness
from app.web.ports import Health
from app.web.problems import RETRY_AFTER_S
from app.web.resource import Resource
from app.web.responses import json_response


def routes(health: Health) -> list[Resource]:
    """Return the routes of the two probes."""

    async def get_livez(_: Request) -> Response:
        return json_response(Liveness("ok"))

    async def get_readyz(_: Request) -> Response:
        checks = dict(health.checks())
        ready = all(check.ok for check in checks.values())
        if ready:
            return json_response(Readiness("ready", checks))
        return json_response(Readiness("not_ready", checks), 503, {"Retry-After": str(RETRY_AFTER_S)})

    return [Resource("/livez", get_livez), Resource("/readyz", get_readyz)]
