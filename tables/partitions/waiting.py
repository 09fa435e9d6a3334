"""Waiting for threads that write to stores, and for tasks that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from threading import Event
from typing import TypeVar

Result = TypeVar("Result")


async def to_the_end(thread: Awaitable[Result], leaving: Event | None = None) -> Result:
    """The result of `thread`. Cancellations, however many, are raised only once it has ended: a store never has two writers.

    Args:
        leaving: set from the first cancellation until the thread has ended, so that it can end early.
    """
    running = asyncio.ensure_future(thread)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
            if leaving is not None:
                leaving.set()
    if cancelled is not None:
        if leaving is not None:
            leaving.clear()
        if not running.cancelled():
            running.exception()  # It may have failed because it was to leave: asyncio would log that nobody looked.
        raise cancelled
    return running.result()


async def cancel(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel `tasks` and wait until all have ended, whatever they end with, or ended with before."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
