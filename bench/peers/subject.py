"""A process of a system under test: started on its own folder, timed at its marks, and never left behind.

A program writes marks to a pipe: `first` when it has read its first line, `durable` when all words are counted and durable,
`written` when its counts are written for the comparison. A program may run several jobs one after the other, each with `first` and
`durable`. This module takes time and CPU time of all systems in one way.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from app.local.child import Child

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0
_ALIVE_CHECK_S = 0.25
_LOG_LINES = 30
_KEPT = ("HOME", "LANG")


class SubjectError(Exception):
    """A system under test that ended, was late, or sent a wrong mark; the text says which, with the last lines of its log."""


@dataclass(frozen=True)
class Moment:
    """Clock and CPU-seconds so far of a system's process tree and of the broker."""

    seconds: float
    cpu_s: float
    broker_cpu_s: float


@dataclass(frozen=True)
class Span:
    """What one job took from its first line to its last durable count; `rss_mb` is the peak of the process tree so far."""

    seconds: float
    cpu_s: float
    broker_cpu_s: float
    rss_mb: float

    def extended(self, share: float) -> Span:
        """Return the span of the whole job, if this span covers `share` (above 0, at most 1) of the job."""
        return Span(self.seconds / share, self.cpu_s / share, self.broker_cpu_s / share, self.rss_mb)


def moment(pid: int, broker_pid: int) -> Moment:
    """Return the present moment."""
    return Moment(time.perf_counter(), tree_cpu_s(pid), tree_cpu_s(broker_pid))


def span(first: Moment, last: Moment, pid: int) -> Span:
    """Return the span from moment `first` to moment `last`."""
    return Span(
        last.seconds - first.seconds,
        last.cpu_s - first.cpu_s,
        last.broker_cpu_s - first.broker_cpu_s,
        tree_peak_rss_mb(pid),
    )


class Subject:
    """Runs a program until the end of the context.

    Args:
        command: program and arguments.
        variables: environment of the program, besides path, home, language and the files that `programs/run.py` names.
        folder: working folder of the program, made here.
        broker_pid: the process whose CPU time counts as the broker's.
        settings: content of the program's file of settings.
    """

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folder: Path,
        broker_pid: int,
        settings: Mapping[str, str],
    ) -> None:
        for name in ("state", "logs", "tmp"):
            (folder / name).mkdir(parents=True)
        (folder / "settings").write_text(
            "".join(f"{name}={value}\n" for name, value in settings.items() if name != "jvm"), "utf-8"
        )
        self._broker_pid = broker_pid
        self._log = folder / "logs" / "output"
        marks = folder / "marks"
        os.mkfifo(marks)
        # The pipe is opened for reading and writing, so that it does not end before this side closes it.
        self._pipe = os.open(marks, os.O_RDWR | os.O_NONBLOCK)
        self._unread, self._read_at = b"", Moment(0.0, 0.0, 0.0)
        inherited = {name: os.environ[name] for name in _KEPT if name in os.environ}
        files = ("counts", "logs", "marks", "settings", "state")
        own = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TMPDIR": str(folder / "tmp")}
        own |= {f"PEER_{name.upper()}": str(folder / name) for name in files}
        self._child = Child(
            command, cwd=folder, env=inherited | own | dict(variables), log_path=self._log, keep_open=()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Processes that a launcher has started do not end with the launcher.
        family = list(_tree(self._child.pid))
        self._child.kill()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        os.close(self._pipe)

    def run_job(self, timeout_s: float) -> Span:
        """Wait for the marks `first` and `durable`, and return the span between them. Raise SubjectError if a mark does not come."""
        first = self.wait_for("first", START_TIMEOUT_S)
        last = self.wait_for("durable", timeout_s)
        if last == first:
            raise SubjectError("was first and durable at once")
        return span(first, last, self._child.pid)

    def wait_for(self, mark: str, timeout_s: float) -> Moment:
        """Return the moment of the next mark. Raise SubjectError if that is another mark than `mark`, or if no mark comes."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            if select.select([self._pipe], [], [], _ALIVE_CHECK_S)[0]:
                self._read_at = moment(self._child.pid, self._broker_pid)
                self._unread += os.read(self._pipe, 4096)
            elif not self._child.is_running():
                raise SubjectError(f"ended before it was {mark}: {self.log_tail()}")
            elif time.monotonic() > deadline:
                raise SubjectError(f"not {mark} within {timeout_s:g} s: {self.log_tail()}")
        line, _, self._unread = self._unread.partition(b"\n")
        if line.decode() != mark:
            raise SubjectError(f"said {line.decode()!r} instead of {mark!r}")
        return self._read_at

    def log_tail(self) -> str:
        """Return the last lines of the program's log."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:])


def tree_cpu_s(pid: int) -> float:
    """Return user and system seconds so far of a process and all its descendants, including those that have ended."""
    total = 0.0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def tree_peak_rss_mb(pid: int) -> float:
    """Return the sum of the largest resident memory so far of a process and of each living descendant, in MiB."""
    total = 0.0
    for process in _tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) / 1024
    return total


def _tree(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)
