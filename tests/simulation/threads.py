"""Threads that stop in the midst of what they do: real ones, of which one runs at a time, as far as the schedule lets it.

What a process runs beside its loop takes a *breath* where another thread of a worker could come in between: in the midst of a commit,
before rows are staged, between two reads. Elsewhere it is not interrupted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tables.errors import NotReadyError


class _Turn:
    """Whose it is.

    Attributes:
        thread: the one that runs; None = the event loop's.
    """

    thread: Thread | None = None


class _Ended(BaseException):
    """The process of a thread is gone: it unwinds from its last breath."""


class Thread:
    """Runs `function` with `arguments`, in pieces.

    Attributes:
        result: what it returned, once it has ended.
        error: what it raised.
        waits: whether it waits for a lock that another thread holds.
        reads: whether it has stopped while it reads the changelog.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self.waits = self.reads = False
        self._call = (function, arguments)
        self._go, self._stopped = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._stopped.acquire()
        self._begun = self._done = self._to_end = False

    def advance(self) -> bool:
        """Run up to the next breath; whether that was the end."""
        assert not self._done, "a thread that has ended goes on"
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._run, daemon=True).start()
        outer, _Turn.thread = _Turn.thread, self
        self._go.release()
        self._stopped.acquire()
        _Turn.thread = outer
        return self._done

    def end(self) -> None:
        """Nothing more of it happens: what it would do next is left out."""
        if self._begun and not self._done:
            self._to_end = True
            self.advance()

    def breathe(self) -> None:
        """Stop until the schedule goes on with it. Called in the thread."""
        if self._to_end:
            return
        self._stopped.release()
        self._go.acquire()
        if self._to_end:
            raise _Ended

    def _run(self) -> None:
        self._go.acquire()
        function, arguments = self._call
        try:
            self.result = function(*arguments)
        except _Ended:
            pass
        except Exception as error:
            self.error = error
        self._done = True
        self._stopped.release()


def breathe(_: float = 0.0, *, reads: bool = False) -> None:
    """Another thread may come in between here. Takes the place of `time.sleep` too.

    Args:
        reads: whether it is the changelog that is read.
    """
    thread = _Turn.thread
    if thread is not None:
        thread.reads = reads
        thread.breathe()


class Lock:
    """As `threading.Lock`, for threads that stop while they hold it."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        while self._held:
            thread = _Turn.thread
            if thread is None:
                raise NotReadyError("somebody who does not wait finds a lock held")
            thread.waits = True
            thread.breathe()
            thread.waits = False
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False
