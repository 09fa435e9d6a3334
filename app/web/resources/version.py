"""`/version`: the versions of Wordcount, Python and Faust that run."""

from __future__ import annotations

import platform
from importlib import metadata

from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from app.bodies import Version
from app.web.resource import Resource
from app.web.responses import REVALIDATED, json_response


def version_info(commit: str | UnsetType = UNSET) -> Version:
    """Return the versions of this process; Wordcount's is "unknown" if the package is not installed."""
    try:
        version = metadata.version("wordcount")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return Version(version, platform.python_version(), metadata.version("faust-streaming"), commit)


def routes(version: Version) -> list[Resource]:
    """Return the route of `/version`."""

    async def get_version(_: Request) -> Response:
        return json_response(version, headers=REVALIDATED)

    return [Resource("/version", get_version)]
