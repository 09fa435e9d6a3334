"""A child process that does not outlive its parent and that no key in the parent's terminal reaches."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tables.errors import WordcountError

LOG_TAIL_LINES: Final = 15


class Child:
    """A running program, and a guard that kills it as soon as this process is gone, however that ended.

    The guard is a shell that reads from a pipe which only this process can write to: it meets the end of the
    file when this process ends. PR_SET_PDEATHSIG would save that process, but it exists on Linux alone, fires
    already when the *thread* that started the child ends, and needs code between fork and exec.

    Args:
        command: program and arguments.
        env: its whole environment.
        log_path: file for its stdout and stderr, emptied first.
        cwd: its working folder; None = this process's.
        keep_open: descriptors that it inherits.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log_path: Path,
        cwd: Path | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own program, no shell
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=keep_open,
                # A session of its own: Ctrl-C and the end of the terminal reach only this process, which then
                # ends its child in order.
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - a constant script and a number
                ["/bin/sh", "-c", 'read -r _; kill -KILL "$0"', str(self.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative where a signal ended it; None while it runs."""
        return self._process.poll()

    def is_running(self) -> bool:
        """Whether the program is alive. If not, the guard is dismissed: its process id is free again."""
        if self._process.poll() is None:
            return True
        self._dismiss_guard()
        return False

    def terminate(self, timeout_s: float) -> None:
        """Send SIGTERM, and SIGKILL if the program lives after `timeout_s` or the wait is interrupted."""
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL if the program runs, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._dismiss_guard()

    def _dismiss_guard(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def quoting_log(error: WordcountError, log_path: Path) -> WordcountError:
    """`error` with a note that has the last lines of a log, which the command line shows below its one line."""
    lines = log_path.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
    error.add_note("\n".join([f"{log_path} ends with:", *lines]))
    return error
