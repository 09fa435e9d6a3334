"""Tasks of simulated processes: a task belongs to the process in whose context it is created, and ends with the process."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.process import Process

CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)


def owned_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Create a task that belongs to the process in whose context the task is created. Used as the task factory of the loop."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    process = CURRENT.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task
