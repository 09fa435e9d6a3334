"""The first answer of several brokers, without a long wait for a broker that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Answer = TypeVar("Answer")

STAGGER_S = 0.5
"""Seconds without an answer after which the next attempt begins beside the attempts under way."""


async def first_answer(
    attempts: Iterable[Callable[[], Awaitable[Answer]]], stagger_s: float = STAGGER_S
) -> Answer:
    """Return the result of the first attempt that succeeds; cancel the other attempts.

    Args:
        attempts: at least one attempt, the most promising first. The next attempt begins when an attempt has failed, or when no
            attempt has ended for `stagger_s` seconds.
        stagger_s: seconds, > 0.

    Raises:
        Exception: the first error, if all attempts fail.
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
    assert first_error is not None, "no attempts"
    raise first_error
