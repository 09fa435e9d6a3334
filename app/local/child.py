"""Child processes that do not outlive their parent, and that Ctrl-C in the parent's terminal does not reach."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tables.errors import WordcountError

LOG_TAIL_LINES: Final = 15


class Child:
    """A running program, and a guard process that kills the program when this process ends, even if this process is killed.

    The guard is a shell that reads from a pipe to which only this process can write, so that the guard reads the end of the pipe when
    this process ends. PR_SET_PDEATHSIG would need no guard process, but exists only on Linux, sends its signal already when the
    *thread* that started the child ends, and needs code between fork and exec.

    Args:
        command: program and arguments.
        env: the whole environment of the program.
        log_path: file for the program's stdout and stderr, emptied first.
        cwd: working folder of the program; None = that of this process.
        keep_open: file descriptors that the program inherits.
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
                # In a session of its own the child gets no signal for Ctrl-C or the end of the terminal. Only this process does, which
                # then ends its child in order.
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
        """Exit code of the program, negative if a signal ended the program; None while the program runs."""
        return self._process.poll()

    def is_running(self) -> bool:
        """Return whether the program is alive. If not, end the guard, because another program may get the process id that it kills."""
        if self._process.poll() is None:
            return True
        self._dismiss_guard()
        return False

    def terminate(self, timeout_s: float) -> None:
        """Send SIGTERM, and SIGKILL if the program still runs after `timeout_s`, or if the wait is interrupted."""
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL if the program runs, and return when the program has ended."""
        self._process.kill()
        self._process.wait()
        self._dismiss_guard()

    def _dismiss_guard(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def quoting_log(error: WordcountError, log_path: Path) -> WordcountError:
    """Return `error` with the last `LOG_TAIL_LINES` lines of a log as a note, which the command line shows below the error."""
    lines = log_path.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
    error.add_note("\n".join([f"{log_path} ends with:", *lines]))
    return error
