"""`/version`: what runs."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata

from starlette.requests import Request
from starlette.responses import Response

from app.web.ports import VersionInfo
from app.web.resource import Resource
from app.web.responses import json_response


def version_info(commit: str | None = None) -> VersionInfo:
    """The versions of this process; Wordcount's is "unknown" where it runs without being installed."""
    try:
        version = metadata.version("wordcount")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return VersionInfo(version, platform.python_version(), metadata.version("faust-streaming"), commit)


def routes(version: VersionInfo) -> list[Resource]:
    """The route of the versions."""
    content = {name: value for name, value in asdict(version).items() if value is not None}

    async def get_version(_: Request) -> Response:
        return json_response(content)

    return [Resource("/version", get_version)]
