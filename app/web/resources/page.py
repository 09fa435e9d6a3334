"""`/` and `/page/{file}`: the live page for people, whose scripts, styles and icon are files of this package."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.web.resource import Resource
from app.web.responses import REVALIDATED

POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
"""The page's Content-Security-Policy: only files of this origin, nothing inline, and no text ever becomes markup or a script."""

_INDEX: Final = "index.html"
_TAKES_TEXTS: Final = 'data-ingest="on"'
_TAKES_NONE: Final = 'data-ingest="off"'
_MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


def routes(*, takes_texts: bool) -> list[Resource]:
    """Return the routes of the page and of its files; `takes_texts` = whether the page offers to count a text."""
    index = _files()[_INDEX]
    if not takes_texts:
        index = index.replace(_TAKES_TEXTS, _TAKES_NONE)

    async def get_page(_: Request) -> Response:
        headers = {**REVALIDATED, "Content-Security-Policy": POLICY}
        return Response(index, headers=headers, media_type=_MEDIA_TYPES[".html"])

    async def get_file(request: Request) -> Response:
        name = request.path_params["file"]
        if name not in file_names():
            raise HTTPException(404)
        _, dot, suffix = name.rpartition(".")
        return Response(_files()[name], headers=REVALIDATED, media_type=_MEDIA_TYPES[dot + suffix])

    return [Resource("/", get_page), Resource("/page/{file}", get_file)]


def file_names() -> list[str]:
    """Return the names of the page's files, ascending."""
    return sorted(_files().keys() - {_INDEX})


@cache
def _files() -> dict[str, str]:
    """Return the page and its files: name -> content."""
    folder = resources.files("app.web").joinpath("page")
    return {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.is_file()}
