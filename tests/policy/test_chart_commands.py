"""Pods of the chart that run a command and end: the job that creates topics, and `helm test`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import command_line

FULL: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("chart-values.yaml").read_text())

Render = Callable[[dict[str, Any]], Any]


def pods(chart: Any) -> dict[str, dict[str, Any]]:
    """Specification of each pod that runs a command, by kind."""
    specs = {
        "Pod": lambda document: document["spec"],
        "Job": lambda document: document["spec"]["template"]["spec"],
    }
    return {
        document["kind"]: specs[document["kind"]](document)
        for document in chart.documents
        if document["kind"] in specs
    }


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def test_commands_have_the_settings_and_files_of_workers_and_no_membership(render: Render) -> None:
    chart = render(FULL)
    worker = environment(chart.pod)
    of_worker = {volume["name"]: volume for volume in chart.pod["volumes"]}
    for kind, pod in pods(chart).items():
        own = environment(pod)
        assert {name: own[name] for name in worker} == worker, kind
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes.keys() == of_worker.keys(), kind
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys(), kind
        assert "WORDCOUNT_PEER_SECRET" not in yaml.safe_dump(volumes["passwords"]), kind
    static = render({"staticMembership": {"enabled": True}})
    assert "WORDCOUNT_GROUP_INSTANCE_ID" not in environment(pods(static)["Pod"])


def test_commands_are_restricted_as_workers_are(render: Render) -> None:
    chart = render(FULL)
    for pod in pods(chart).values():
        assert pod["securityContext"] == chart.pod["securityContext"]
        (container,), (of_worker,) = pod["containers"], chart.pod["containers"]
        assert container["securityContext"] == of_worker["securityContext"]
        assert container["image"] == of_worker["image"]
        assert pod["restartPolicy"] == "Never"
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        # The job runs before there is an account of the chart.
        assert "serviceAccountName" not in pod


def test_nothing_of_workers_or_views_selects_the_pods_of_commands(render: Render) -> None:
    chart = render(FULL)
    labels = [
        chart.one("Pod")["metadata"]["labels"],
        chart.one("Job")["spec"]["template"]["metadata"]["labels"],
    ]
    selectors = [
        document["spec"]["selector"].get("matchLabels", document["spec"]["selector"])
        for document in chart.documents
        if document["kind"] in {"Service", "StatefulSet", "Deployment", "PodDisruptionBudget"}
    ]
    assert len(selectors) == 7
    for each in labels:
        assert not [selector for selector in selectors if selector.items() <= each.items()]


def test_topics_are_created_before_workers_start_and_by_nobody_else(render: Render) -> None:
    chart = render({"topics": {"by": "job"}})
    hooks = chart.one("Job")["metadata"]["annotations"]["helm.sh/hook"].split(",")
    assert sorted(hooks) == ["pre-install", "pre-upgrade"]
    (container,) = pods(chart)["Job"]["containers"]
    name, *path = container["command"]
    command: Any = command_line()
    for word in path:
        command = command.get_command(None, word)
        assert command is not None
    assert (name, path) == ("wordcount", ["topics", "create"])
    assert chart.environment["WORDCOUNT_CREATE_TOPICS"]["value"] == "false"
    assert "Job" not in pods(render({}))
    assert "WORDCOUNT_CREATE_TOPICS" not in render({}).environment


def test_the_job_logs_in_with_its_own_secret_if_it_has_one(render: Render) -> None:
    def secrets(pod: dict[str, Any]) -> set[str]:
        (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "passwords")
        return {
            source["secret"]["name"]
            for source in volume["projected"]["sources"]
            if "SASL" in source["secret"]["items"][0]["path"]
        }

    chart = render(FULL)
    assert secrets(pods(chart)["Job"]) == {FULL["topics"]["existingSecret"]}
    assert secrets(pods(chart)["Pod"]) == secrets(chart.pod) == {FULL["sasl"]["existingSecret"]}
    shared = render({**FULL, "topics": {"by": "job", "existingSecret": ""}})
    assert secrets(pods(shared)["Job"]) == {FULL["sasl"]["existingSecret"]}


def test_helm_test_asks_the_service_of_the_workers(render: Render) -> None:
    own = environment(pods(render({"service": {"port": 8081}}))["Pod"])
    assert own["TEST_URL"] == "http://wc-wordcount:8081"
    chart = render(FULL)
    own = environment(pods(chart)["Pod"])
    assert own["TEST_URL"] == f"https://true:{FULL['service']['port']}"
    assert "true" in own["WORDCOUNT_HTTP_ALLOWED_HOSTS"].split(",")
    token = FULL["test"]["token"]
    assert own["WORDCOUNT_TOKEN"] == {"secretKeyRef": {"name": token["existingSecret"], "key": token["key"]}}
    assert (own["TEST_WORD"], own["TEST_TEXT"]) == (FULL["test"]["word"], FULL["test"]["text"])


def test_without_a_token_that_is_needed_there_is_no_helm_test(render: Render) -> None:
    assert "Pod" not in pods(render({**FULL, "test": {"token": {"existingSecret": ""}}}))


def test_the_script_is_one_for_any_shell(render: Render) -> None:
    (container,) = pods(render({}))["Pod"]["containers"]
    shell, flag, script = container["command"]
    assert (shell, flag) == ("sh", "-c")
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["sh", "-n"], input=script + "fi", text=True, check=True, capture_output=True)
