"""`/`: the live page for people, one file without external parts, which reads the JSON resources once a second."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from app.web.resource import Resource
from app.web.responses import REVALIDATED


def routes() -> list[Resource]:
    """Return the route of the page."""
    html = resources.files("app.web.resources").joinpath("page.html").read_text("utf-8")
    headers = {
        **REVALIDATED,
        "Content-Security-Policy": content_security_policy(html),
    }

    async def get_page(_: Request) -> Response:
        return Response(html, headers=headers, media_type="text/html")

    return [Resource("/", get_page)]


def content_security_policy(html: str) -> str:
    """Return a Content-Security-Policy that allows only the inline script and style of `html`, by their hashes."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash_of(html, 'script')}",
            f"style-src {_hash_of(html, 'style')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _hash_of(html: str, element: str) -> str:
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
