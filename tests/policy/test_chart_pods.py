"""What the user of the chart adds to its pods: where they run, labels, annotations, variables, volumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

FULL: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("chart-values.yaml").read_text())

Values = dict[str, Any]
Render = Callable[[Values], Any]


@pytest.mark.parametrize(("command", "place"), [("worker", FULL), ("view", FULL["views"])])
def test_a_pod_runs_where_the_values_say_and_is_spread_over_nodes(
    render: Render, command: str, place: Values
) -> None:
    pod = render(FULL).pods[command]
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert pod[name] == place[name], name
        assert name not in render({"views": {"replicas": 1}}).pods[command]
    assert len(pod["topologySpreadConstraints"]) == 1


def test_labels_and_annotations_are_added_where_they_may_change(render: Render) -> None:
    chart = render(FULL)
    for document in chart.documents:
        assert document["metadata"]["labels"].items() >= FULL["commonLabels"].items()
    for kind, values in (("StatefulSet", FULL), ("Deployment", FULL["views"])):
        spec = chart.one(kind)["spec"]
        assert spec["template"]["metadata"]["annotations"] == values["podAnnotations"]
        assert spec["template"]["metadata"]["labels"].items() >= FULL["commonLabels"].items()
        assert not spec["selector"]["matchLabels"].keys() & FULL["commonLabels"].keys()
    (claim,) = chart.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert not claim["metadata"]["labels"].keys() & FULL["commonLabels"].keys()
    assert "annotations" not in render({}).one("StatefulSet")["spec"]["template"]["metadata"]


@pytest.mark.parametrize("command", ["worker", "view"])
def test_variables_and_volumes_are_added_to_those_of_the_chart(render: Render, command: str) -> None:
    pod = render(FULL).pods[command]
    (container,) = pod["containers"]
    assert container["env"][-2:] == FULL["extraEnv"]
    assert container["volumeMounts"][-1:] == FULL["extraVolumeMounts"]
    assert pod["volumes"][-1:] == FULL["extraVolumes"]
