"""Alerts and dashboard: what they ask for exists, each alert fires and is silent when it should, and has its entry in the run book."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.policy.expressions import TARGET, documented, headings_beside, problems, selectors
from tests.policy.promtool import REMEDY, VARIABLE, NoPromtoolError, find, promtool

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "helm" / "wordcount" / "files" / "alerts.yaml"
DASHBOARD: dict[str, Any] = json.loads((ALERTS.parent / "dashboard.json").read_text("utf-8"))
CASES = Path(__file__).with_name("alerts-test.yaml")
RUN_BOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
METRICS = documented(PAGE)

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]
]
RULES_BY_NAME = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {
    rule["record"]: frozenset(re.findall(r"\w+", rule["expr"].split(" by (")[1].split(")")[0]))
    for rule in RULES
    if "record" in rule
}
"""Recorded series -> labels by which its rule aggregates."""

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EACH_ALERT = pytest.mark.parametrize("name", RULES_BY_NAME)
EACH_PANEL = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def without_variables(expression: str) -> str:
    """An expression of the dashboard as Prometheus gets it."""
    return expression.replace("$__rate_interval", "2m")


def test_promtool_finds_no_mistake_in_the_rules() -> None:
    done = promtool("check", "rules", ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


def test_each_alert_fires_and_is_silent_when_it_should() -> None:
    done = promtool("test", "rules", CASES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_expects_something_else_fails(tmp_path: Path) -> None:
    cases = yaml.safe_load(CASES.read_text("utf-8"))
    case = next(one for one in cases["tests"] if one["name"].startswith("WordcountPartitionStopped:"))
    case["alert_rule_test"][-1]["exp_alerts"] = []
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump({**cases, "rule_files": [str(ALERTS)], "tests": [case]}))
    done = promtool("test", "rules", wrong)
    assert done.returncode != 0
    assert "WordcountPartitionStopped" in done.stdout + done.stderr


@EACH_ALERT
def test_each_alert_has_cases_in_which_it_fires_and_in_which_it_is_silent(name: str) -> None:
    cases = [
        case
        for case in yaml.safe_load(CASES.read_text("utf-8"))["tests"]
        if case["name"].split(":")[0] == name
    ]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    assert {check["alertname"] for check in checks} == {name}
    assert {bool(check["exp_alerts"]) for check in checks} == {True, False}
    # Releases are not mixed: beside the one for which it fires there is one for which it does not.
    firing = {one["exp_labels"].get("namespace") for check in checks for one in check["exp_alerts"]}
    assert any("good" in series["series"] for case in cases for series in case["input_series"])
    assert "good" not in firing


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_metrics_and_labels_that_exist_of_one_job(rule: dict[str, Any]) -> None:
    assert problems(rule["expr"], METRICS | RECORDED) == []
    for one in selectors(rule["expr"]):
        assert one.matchers.get("job") == "wordcount", (
            f"{one.metric}: the chart puts the job of the release there"
        )


def test_recorded_series_are_used_by_an_alert_and_keep_what_tells_releases_apart() -> None:
    used = {one.metric for rule in RULES_BY_NAME.values() for one in selectors(rule["expr"])}
    assert RECORDED.keys() <= used
    for labels in RECORDED.values():
        assert {"namespace", "job"} <= labels


@EACH_ALERT
def test_alerts_say_how_urgent_they_are_what_is_wrong_and_where_to_read_on(name: str) -> None:
    rule = RULES_BY_NAME[name]
    assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert said["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    for text in (said["summary"], said["description"]):
        assert text.endswith(".")
        assert "$labels.job" in text
        used = set(re.findall(r"\$labels\.(\w+)", text))
        has = set().union(*((METRICS | RECORDED)[one.metric] for one in selectors(rule["expr"])))
        assert used <= has | TARGET


@EACH_ALERT
def test_the_reason_of_each_threshold_stands_above_it(name: str) -> None:
    lines = ALERTS.read_text("utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip() == f"- alert: {name}")
    assert lines[at - 1].strip().startswith("# ")


def test_every_alert_has_its_entry_in_the_run_book_and_every_entry_an_alert() -> None:
    assert headings_beside(RULES_BY_NAME, RUN_BOOK) == []


@EACH_ALERT
def test_entries_say_what_it_means_what_users_see_where_to_look_and_what_to_do(name: str) -> None:
    entry = RUN_BOOK.split(f"\n### {name}\n")[1].split("\n#")[0]
    found = re.findall(r"^- \*\*(.+?):\*\* \S", entry, re.MULTILINE)
    assert found == ["Means", "Users see", "Look", "Do"]
    assert "](" in entry or "`" in entry


def test_a_wrong_metric_label_or_entry_would_be_noticed() -> None:
    for expression, found in {
        "rate(wordcount_no_such_total[5m])": ["unknown metric wordcount_no_such_total"],
        'wordcount_lag_records{topic="a"}': ["wordcount_lag_records has no label topic"],
        "sum by (error) (wordcount_lag_records)": ["wordcount_lag_records: no label error"],
        "up / on (partition) wordcount_lag_records": ["up: no label partition"],
        "sum by (le) (wordcount_flush_seconds)": ["unknown metric wordcount_flush_seconds"],
        "rate(wordcount_records_total)[5m": ["no PromQL"],
    }.items():
        assert [
            one.split(": ")[0] if "PromQL" in one else one for one in problems(expression, METRICS)
        ] == found
    assert problems('rate(wordcount_flush_seconds_bucket{le="5.0", job="a"}[5m])', METRICS) == []
    more = [*RULES_BY_NAME, "WordcountNew"]
    assert headings_beside(more, RUN_BOOK) == ["WordcountNew has no entry"]
    assert headings_beside(RULES_BY_NAME, f"{RUN_BOOK}\n### WordcountOld\n") == [
        "the entry WordcountOld has no alert"
    ]
    assert headings_beside(RULES_BY_NAME, f"{RUN_BOOK}\n### WordcountRestarts\n") == [
        "WordcountRestarts has two entries"
    ]


@EACH_PANEL
def test_panels_have_unit_and_description_and_ask_for_what_exists(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for source in (panel, *panel["targets"]):
        assert source["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        asked = without_variables(target["expr"])
        assert problems(asked, METRICS) == []
        for one in selectors(asked):
            # Not only one deployment is shown, so that each selector is bound to the variables.
            assert (one.matchers["namespace"], one.matchers["job"]) == ("$namespace", "$job")
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert shown <= set().union(*(METRICS[one.metric] for one in selectors(asked)))


def test_the_dashboard_has_its_rows_and_variables_and_panels_do_not_overlap() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Counting", "Freshness and lag", "Flush and restore", "Reads and streams", "Process"]
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "namespace", "job"]
    for variable in DASHBOARD["templating"]["list"][1:]:
        (asked, label) = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
        assert problems(asked, METRICS) == []
        assert label == variable["name"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_every_metric_of_the_product_is_on_the_dashboard() -> None:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    shown = {one.metric for expression in asked for one in selectors(without_variables(expression))}
    for name in re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE):
        # The time of the records is shown beside the clock, as a distance.
        if name != "wordcount_stream_time_seconds":
            assert shown & {name, f"{name}_bucket", f"{name}_sum"}, name


def test_where_no_promtool_is_found_the_line_says_how_to_install_it(tmp_path: Path) -> None:
    for variables in ({}, {VARIABLE: "no-such-program"}):
        with pytest.raises(NoPromtoolError) as caught:
            find({"PATH": str(tmp_path), **variables})
        assert REMEDY in str(caught.value)
        assert "\n" not in str(caught.value)
    own = tmp_path / "own"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert find({"PATH": "", VARIABLE: str(own)}) == own


def test_without_a_promtool_tests_fail_with_the_line_and_are_not_skipped() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-q",
            __file__,
            "-k",
            "promtool_finds or fires_and_is_silent_when",
        ],
        cwd=ROOT,
        env={**os.environ, VARIABLE: "no-such-program"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert REMEDY in done.stdout
    assert "2 failed" in done.stdout
    assert "skipped" not in done.stdout
