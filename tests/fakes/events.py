"""The events of an answer of `/v1/stream`, read one by one by a client that follows the format and no library."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

DEADLINE_S = 30.0


@dataclass
class Event:
    """An event as the client received it; `lines` = all of its lines, comments among them."""

    lines: list[str]
    fields: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.fields = dict(line.split(": ", 1) for line in self.lines if not line.startswith(":"))

    @property
    def kind(self) -> str | None:
        return self.fields.get("event")

    @property
    def id(self) -> str | None:
        return self.fields.get("id")

    @property
    def data(self) -> Any:
        return json.loads(self.fields["data"])


class Events:
    """The events of an answer."""

    def __init__(self, reply: httpx.Response) -> None:
        self.reply = reply
        self._lines = reply.aiter_lines()

    async def next(self) -> Event | None:
        """Return the next event; None at the end of the answer."""
        lines: list[str] = []
        async with asyncio.timeout(DEADLINE_S):
            async for line in self._lines:
                if not line:
                    return Event(lines)
                lines.append(line)
        assert not lines, lines
        return None
