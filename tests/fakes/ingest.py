"""A fake of the port through which HTTP sends texts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.produce.receipt import Receipt


@dataclass
class FakeIngest:
    """Keeps the texts of each request, with its key, or raises `error` if a test sets it; all texts go to partition 10.

    It answers as long as `may_answer` is set.
    """

    sent: list[tuple[list[str], str | None]] = field(default_factory=list)
    error: Exception | None = None
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    def check(self) -> None:
        """Take texts at any time."""

    async def send(self, texts: Sequence[str], key: str | None) -> Receipt:
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        self.sent.append((list(texts), key))
        return Receipt(len(texts), {10: 5 + sum(len(texts) for texts, _ in self.sent)})
