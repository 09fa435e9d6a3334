"""Waiting for threads that write to stores, and for tasks that wait for them; letting other threads go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from threading import Event
from typing import TypeVar

from tables.schema import SLICE_ROWS

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
        raise cancelled
    return running.result()


async def cancel(task: asyncio.Task[None] | None) -> None:
    """Cancel `task` and wait until it has ended, whatever it ends with, or ended with before."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def release(items: list[bytes]) -> None:
    """Empty a list that nobody needs any more, in slices: freeing 250,000 objects at once holds the interpreter's lock for 20 ms."""
    while items:
        del items[-SLICE_ROWS:]
