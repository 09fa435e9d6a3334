"""The fixture and the final table that show after how many schedules each mutant was caught."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SCHEDULES = pytest.StashKey[dict[str, int]]()


@pytest.fixture
def record_schedules(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """A function that notes, for a mutant, the number of schedules up to and including the one that caught the mutant."""
    table = request.config.stash.setdefault(SCHEDULES, {})
    return table.__setitem__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table := terminalreporter.config.stash.get(SCHEDULES, {}):
        terminalreporter.section("schedules until a mutant was caught")
        for name, schedules in sorted(table.items(), key=lambda row: row[1]):
            terminalreporter.line(f"{schedules:6}  {name}")
