"""Threads that the schedule stops and continues at chosen places: real threads, of which only one runs at a time.

A function that a process runs beside its event loop takes a *breath* wherever another thread of a worker could run in between:
during a commit, before rows are staged, between two reads. A thread can stop at a breath and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tables.errors import NotReadyError


class _Turn:
    """The thread whose turn it is to run.

    Attributes:
        thread: the running thread; None = the thread of the event loop.
    """

    thread: Thread | None = None


class _Ended(BaseException):
    """Raised in a thread whose process is dead, so that the thread unwinds from its last breath."""


class Thread:
    """Runs `function` with `arguments` in pieces, from breath to breath.

    Attributes:
        result: the result of `function`; None before its end.
        error: the error that `function` raised; None = no error.
        waits: whether the thread waits for a lock that another thread holds.
        reads: whether the thread has stopped during a read of the changelog.
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
        """Run up to the next breath or the end of the function; return whether the function has ended."""
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
        """End the thread at its last breath; the rest of the function does not run."""
        if self._begun and not self._done:
            self._to_end = True
            self.advance()

    def breathe(self) -> None:
        """Stop until the schedule continues this thread. Called in the thread itself."""
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
    """Take a breath: let other threads run here. Also replaces `time.sleep`, whose argument is ignored.

    Args:
        reads: whether the thread is reading the changelog.
    """
    thread = _Turn.thread
    if thread is not None:
        thread.reads = reads
        thread.breathe()


class Lock:
    """A lock like `threading.Lock` for threads that may stop while they hold the lock."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        while self._held:
            thread = _Turn.thread
            if thread is None:
                raise NotReadyError("the event loop, which must not wait, finds a lock held")
            thread.waits = True
            thread.breathe()
            thread.waits = False
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False
