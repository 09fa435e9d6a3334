"""The committed run of `make kubernetes` keeps the promises of docs/kubernetes.md, and the page says what it says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.kubernetes.page import PAGE, with_table
from tests.kubernetes.promises import broken_promises
from tests.kubernetes.trial import read_result

RESULT = read_result()


def scenario(report: dict[str, Any], name: str, through: str = "service") -> dict[str, Any]:
    """The scenario of this name, in which a pod asked through `through` if it asked at all."""
    return next(
        one for one in report["scenarios"] if one["name"] == name and one["through"] in (through, None)
    )


def test_the_committed_run_keeps_all_promises() -> None:
    assert broken_promises(RESULT) == []
    assert "dirty" not in RESULT["commit"]


def test_the_page_says_what_the_result_says() -> None:
    text = PAGE.read_text("utf-8")
    assert with_table(text, RESULT) == text, "run: python -m tests.kubernetes.page"
    wrong = copy.deepcopy(RESULT)
    scenario(wrong, "killed")["lines"] += 1
    assert with_table(text, wrong) != text


def _slow(report: dict[str, Any]) -> None:
    scenario(report, "install")["ready_s"] = 40.1


def _wrong(report: dict[str, Any]) -> None:
    scenario(report, "scaled")["differing"] = 1


def _nothing_compared(report: dict[str, Any]) -> None:
    scenario(report, "killed")["words"] = 10


def _partial(report: dict[str, Any]) -> None:
    scenario(report, "broker_away")["reads"]["partial"] = 1


def _refused(report: dict[str, Any]) -> None:
    scenario(report, "upgrade")["reads"]["ConnectionRefusedError"] = 1


def _unavailable(report: dict[str, Any]) -> None:
    reads = scenario(report, "rolling_restart")["reads"]
    reads["503"] = sum(reads.values()) // 500


def _unavailable_views(report: dict[str, Any]) -> None:
    scenario(report, "rolling_restart", "views")["reads"]["503"] = 1


def _both_evicted(report: dict[str, Any]) -> None:
    scenario(report, "eviction")["allowed"] = [True, True]


def _hardly_asked(report: dict[str, Any]) -> None:
    scenario(report, "rolling_restart")["reads"] = {"whole": 10}


def _not_asked(report: dict[str, Any]) -> None:
    scenario(report, "killed")["reads"] = {}


def _left_out(report: dict[str, Any]) -> None:
    report["scenarios"].remove(scenario(report, "state_lost"))


@pytest.mark.parametrize(
    "broken",
    [
        *(_slow, _wrong, _nothing_compared, _partial, _refused, _unavailable, _unavailable_views),
        *(_both_evicted, _hardly_asked, _not_asked, _left_out),
    ],
)
def test_a_broken_promise_is_noticed(broken: Callable[[dict[str, Any]], None]) -> None:
    report = copy.deepcopy(RESULT)
    broken(report)
    assert len(broken_promises(report)) == 1
