"""The bridge from a blocking iterator, such as lines of a pipe, to an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

_ITEMS_AHEAD = 2


class Feed(Generic[T]):
    """Iterates over `items` in a thread of its own, at most two items ahead. Created on the running event loop.

    The thread is a daemon and not one of the event loop's executor, so that the process can end while the thread waits for a terminal
    or a pipe.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(_ITEMS_AHEAD)
        self._closed = False
        threading.Thread(target=self._run, daemon=True).start()

    async def next(self, idle_s: float, when_idle: Callable[[], Awaitable[None]]) -> T | None:
        """Return the next item; None at the end. Raise the error that the iterator raised.

        Args:
            idle_s: longest time to wait before `when_idle` is called.
            when_idle: called once if no item arrives within `idle_s`.
        """
        try:
            item = (
                await asyncio.wait_for(self._queue.get(), idle_s)
                if self._queue.empty()
                else self._queue.get_nowait()
            )
        except TimeoutError:
            await when_idle()
            item = await self._queue.get()
        self._room.release()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Take no more items; the thread ends when the iterator returns its current item."""
        self._closed = True
        self._room.release()

    def _run(self) -> None:
        last: BaseException | None = None
        try:
            for item in self._items:
                self._room.acquire()
                if self._closed:
                    return
                self._put(item)
        except BaseException as error:  # noqa: BLE001 - raised again by `next`
            last = error
        self._put(last)

    def _put(self, item: T | BaseException | None) -> None:
        # The loop may have been closed while the iterator was waiting.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
