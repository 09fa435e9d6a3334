"""A table of how many schedules it took to catch each mutant, at the end of every run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SCHEDULES = pytest.StashKey[dict[str, int]]()


@pytest.fixture
def record_schedules(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Remembers how many schedules a mutant has survived, plus the one that catches it."""
    table = request.config.stash.setdefault(SCHEDULES, {})
    return table.__setitem__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table := terminalreporter.config.stash.get(SCHEDULES, {}):
        terminalreporter.section("schedules until a mutant was caught")
        for name, schedules in sorted(table.items(), key=lambda row: row[1]):
            terminalreporter.line(f"{schedules:6}  {name}")
