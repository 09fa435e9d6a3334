"""The class of all HTTP routes: a path is compared up to its last character, and a word in a path may hold any character."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.routing import Route


class Resource(Route):
    """A route of Starlette for `GET` and `HEAD`, or for another method alone, with line feeds treated like other characters.

    In Starlette's pattern "$" also matches before a line feed at the end, so that `/livez%0A` would be `/livez`; and "." matches no
    line feed, so that a word with a line feed would match no route.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], method: str = "GET") -> None:
        super().__init__(path, endpoint, methods=[method])
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)
