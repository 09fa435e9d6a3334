"""The number of workers follows what is not counted yet, by one autoscaler alone, and never beyond the partitions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.settings import Settings
from app.reads.answers import PartitionStatus
from app.worker.metrics import Metrics

FULL: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("chart-values.yaml").read_text())
SCALERS = {"HorizontalPodAutoscaler", "ScaledObject"}

Render = Callable[[dict[str, Any]], Any]


def scaled(by: str, **values: Any) -> dict[str, Any]:
    return {"autoscaling": {"by": by}, **values}


@pytest.mark.parametrize(
    ("by", "kinds"), [("none", set()), ("hpa", {"HorizontalPodAutoscaler"}), ("keda", {"ScaledObject"})]
)
def test_there_is_one_autoscaler_at_most_and_only_without_one_does_the_chart_set_the_number(
    render: Render, by: str, kinds: set[str]
) -> None:
    chart = render(scaled(by))
    assert SCALERS & {document["kind"] for document in chart.documents} == kinds
    assert ("replicas" in chart.one("StatefulSet")["spec"]) == (by == "none")


@pytest.mark.parametrize(("by", "kind"), [("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")])
def test_an_autoscaler_scales_the_workers_slowly(render: Render, by: str, kind: str) -> None:
    chart = render(scaled(by))
    spec = chart.one(kind)["spec"]
    workers = chart.one("StatefulSet")
    target = spec["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (workers["apiVersion"], workers["kind"])
    assert target["name"] == workers["metadata"]["name"]
    behavior = (
        spec["behavior"] if by == "hpa" else spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    )
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 900
    assert [policy["value"] for policy in behavior["scaleDown"]["policies"]] == [1]


def test_an_autoscaler_of_kubernetes_asks_for_a_metric_that_workers_have(render: Render) -> None:
    (metric,) = render(scaled("hpa")).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    metrics = Metrics()
    metrics.watch(lambda: {0: PartitionStatus("counting", 1, 2)}, dict)
    assert metric["pods"]["metric"]["name"] in {family.name for family in metrics.registry.collect()}
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "1000000"}


def test_keda_asks_for_the_group_and_topic_of_the_workers(render: Render) -> None:
    (trigger,) = render(scaled("keda")).one("ScaledObject")["spec"]["triggers"]
    defaults = Settings.model_fields
    assert trigger["metadata"]["consumerGroup"] == defaults["group"].default
    assert trigger["metadata"]["topic"] == defaults["topic"].default
    assert not {"sasl", "tls"} & trigger["metadata"].keys()
    assert "authenticationRef" not in trigger
    (trigger,) = render(FULL).one("ScaledObject")["spec"]["triggers"]
    settings = FULL["settings"]
    assert trigger["metadata"]["consumerGroup"] == settings["group"]
    assert trigger["metadata"]["topic"] == settings["topic"]
    assert trigger["metadata"]["bootstrapServers"] == settings["bootstrap_servers"]
    assert trigger["metadata"]["lagThreshold"] == str(FULL["autoscaling"]["lagRecords"])


@pytest.mark.parametrize(
    ("mechanism", "sasl"),
    [
        (None, "scram_sha512"),
        ("PLAIN", "plaintext"),
        ("SCRAM-SHA-256", "scram_sha256"),
        ("SCRAM-SHA-512", "scram_sha512"),
    ],
)
def test_keda_logs_in_as_the_workers_do(render: Render, mechanism: str | None, sasl: str) -> None:
    values = copy.deepcopy(FULL)
    values["settings"].pop("sasl_mechanism", None)
    if mechanism is not None:
        values["settings"]["sasl_mechanism"] = mechanism
    chart = render(values)
    (trigger,) = chart.one("ScaledObject")["spec"]["triggers"]
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == (sasl, "enable")
    assert trigger["authenticationRef"]["name"] == chart.one("TriggerAuthentication")["metadata"]["name"]
    told = {
        one["parameter"]: (one["name"], one["key"])
        for one in chart.one("TriggerAuthentication")["spec"]["secretTargetRef"]
    }
    login, files = FULL["sasl"], FULL["tls"]
    assert told == {
        "username": (login["existingSecret"], login["usernameKey"]),
        "password": (login["existingSecret"], login["passwordKey"]),
        "ca": (files["existingSecret"], files["caKey"]),
        "cert": (files["existingSecret"], files["certKey"]),
        "key": (files["existingSecret"], files["privateKeyKey"]),
        "keyPassword": (files["existingSecret"], files["privateKeyPasswordKey"]),
    }
