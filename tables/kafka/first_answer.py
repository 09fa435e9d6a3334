"""Asking several that can answer, without waiting long for one that is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Answer = TypeVar("Answer")

STAGGER_S = 0.5
"""One that answers later than this is not waited for alone."""


async def first_answer(
    attempts: Iterable[Callable[[], Awaitable[Answer]]], stagger_s: float = STAGGER_S
) -> Answer:
    """What the first attempt to succeed returns; the others are cancelled.

    Args:
        attempts: at least one, the most promising first. Each begins when one before it has failed, or when nothing was heard
            for `stagger_s` seconds.

    Raises:
        Exception: the first error, where all fail.
    """
    waiting = list(attempts)[::-1]
    running: set[asyncio.Future[Answer]] = set()
    first_error: BaseException | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(waiting.pop()()))
            done, running = await asyncio.wait(
                running, timeout=stagger_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                if (error := attempt.exception()) is None:
                    return attempt.result()
                first_error = first_error or error
    finally:
        for attempt in running:
            attempt.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert first_error is not None, "nobody to ask"
    raise first_error
