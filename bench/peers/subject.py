"""One process of a system under test: started on its own folder, timed at its marks, never left behind.

A program tells by marks on a pipe that it read its first line (`first`), that all words are counted and durable
(`durable`), and that its counts are written for the comparison (`written`); it may run several jobs one after
another, each with `first` and `durable`. Time and CPU are taken here, in the same way for all.
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
    """A system did not do its part; the text says what, with the last lines of its log."""


@dataclass(frozen=True)
class Moment:
    """Clock and CPU-seconds so far of a system's process tree and of the broker."""

    seconds: float
    cpu_s: float
    broker_cpu_s: float


@dataclass(frozen=True)
class Span:
    """What one job took from its first line to its last durable count; the memory is the peak of the process tree so far."""

    seconds: float
    cpu_s: float
    broker_cpu_s: float
    rss_mb: float

    def extended(self, share: float) -> Span:
        """That of the whole job, where this is one of `share` (0 to 1) of it."""
        return Span(self.seconds / share, self.cpu_s / share, self.broker_cpu_s / share, self.rss_mb)


def moment(pid: int, broker_pid: int) -> Moment:
    """Now."""
    return Moment(time.perf_counter(), tree_cpu_s(pid), tree_cpu_s(broker_pid))


def span(first: Moment, last: Moment, pid: int) -> Span:
    """From one moment to the other."""
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
        variables: its environment, besides path, home, language and the files that `programs/run.py` names.
        folder: its working folder, made here.
        broker_pid: process whose CPU time counts as the broker's.
        settings: what it finds in its file of settings.
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
        # For reading and writing: the pipe then has no end before this side closes it.
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
        # What a launcher started is not ended with it.
        family = list(_tree(self._child.pid))
        self._child.kill()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        os.close(self._pipe)

    def run_job(self, timeout_s: float) -> Span:
        """Wait for `first` and `durable`. Raises SubjectError where they do not come."""
        first = self.wait_for("first", START_TIMEOUT_S)
        last = self.wait_for("durable", timeout_s)
        if last == first:
            raise SubjectError("was first and durable at once")
        return span(first, last, self._child.pid)

    def wait_for(self, mark: str, timeout_s: float) -> Moment:
        """The moment of the next mark, which must be this one. Raises SubjectError where it is not."""
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
        """The last lines of its log."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:])


def tree_cpu_s(pid: int) -> float:
    """User and system seconds so far of a process and all its descendants, those that have ended included."""
    total = 0.0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def tree_peak_rss_mb(pid: int) -> float:
    """Sum over a process and its living descendants of the largest resident memory of each so far, MiB."""
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
