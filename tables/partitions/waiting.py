"""Cancellation that waits: for the end of a thread that writes to a store, and for the end of cancelled tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from threading import Event
from typing import TypeVar

Result = TypeVar("Result")


async def finish_despite_cancel(thread: Awaitable[Result], leaving: Event | None = None) -> Result:
    """Wait for the end of `thread` even if this task is cancelled, so that a store never has two writers.

    Args:
        thread: the running function.
        leaving: set from the first cancellation until `thread` has ended, so that the function can end early; None = the function
            does not look.

    Returns:
        The result of `thread`.

    Raises:
        CancelledError: this task was cancelled once or several times; raised after `thread` has ended.
        Exception: the error of `thread`, unless this task was cancelled.
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
            running.exception()  # Retrieved, because asyncio would otherwise log an error that `leaving` may have caused.
        raise cancelled
    return running.result()


async def cancel(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel `tasks` and wait until all have ended. Results and errors of the tasks are ignored; None = no task."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
