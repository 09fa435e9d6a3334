"""Set-up of all tests, and the line that says how to repeat a failed test."""

from __future__ import annotations

import shlex
import signal

import pytest
from hypothesis import settings


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where they run in the background of a script: shells have it ignored there.

    Hypothesis is about what is right, not how fast it is: on a busy machine any example may take longer than its deadline.
    A failing example is printed with the decorator that tries it again on any machine.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("wordcount", deadline=None, print_blob=True)
    settings.load_profile("wordcount")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print for each failing test the command that repeats it."""
    reports = [*terminalreporter.stats.get("failed", []), *terminalreporter.stats.get("error", [])]
    if reports:
        terminalreporter.section("how to run the failing tests again")
        for line in dict.fromkeys(map(_command, reports)):
            terminalreporter.line(f"repeat: {line}")


def _command(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the command that runs a test again.

    A test that depends on chance says by `record_property` which command repeats it (`repeat`), or which variables its own
    command needs (`repeat_with`).
    """
    said = dict(getattr(report, "user_properties", ()))
    if "repeat" in said:
        return str(said["repeat"])
    variables = f"{said['repeat_with']} " if "repeat_with" in said else ""
    return f"{variables}.venv/bin/pytest {shlex.quote(report.nodeid)}"
