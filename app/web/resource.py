"""A route whose path is compared to its very end, with any character in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.routing import Route


class Resource(Route):
    """Starlette's route, for `GET` and `HEAD`.

    Its patterns take a line feed for the end of a path, so that `/livez%0A` would be `/livez`, and for no part of a word.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any]) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)
