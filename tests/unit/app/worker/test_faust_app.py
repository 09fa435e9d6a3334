"""The Faust app of a worker: what ends it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.exit_codes import exit_code
from app.worker import faust_app
from app.worker.faust_app import WordcountApp
from tables.errors import ConfigurationError


class Log:
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []

    def error(self, event: str, **members: Any) -> None:
        self.errors.append({"event": event, **members})


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(faust_app, "_log", log)
    monkeypatch.setattr(faust_app.os, "kill", lambda *_: None)
    return log


def ended_by(error: Exception, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[str]]:
    """Exit codes that the deadline was started with, and lines for the operator."""
    codes: list[int] = []
    said: list[str] = []
    monkeypatch.setattr(faust_app, "say", said.append)
    app: Any = SimpleNamespace(
        fatal_error=None, parts=SimpleNamespace(deadline=SimpleNamespace(start=codes.append))
    )
    WordcountApp.end(cast(WordcountApp, app), error)
    WordcountApp.end(cast(WordcountApp, app), RuntimeError("a later one"))
    assert app.fatal_error is error
    return codes, said


def test_an_error_with_a_remedy_ends_the_worker_with_one_line(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ConfigurationError("wrong", "mend it")
    assert ended_by(error, monkeypatch) == ([exit_code(error)], [str(error)])
    assert log.errors == []


def test_an_error_that_nobody_foresaw_is_named_by_its_kind_and_logged_with_its_traceback(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = KeyError()
    assert ended_by(error, monkeypatch) == ([1], ["unexpected error: KeyError()"])
    assert [members["exc_info"] for members in log.errors] == [error]
