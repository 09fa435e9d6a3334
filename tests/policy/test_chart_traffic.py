"""Who reaches the pods of the chart, whom they reach, and who watches them: Ingress, route, monitor, alerts, dashboard, policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
FULL: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("chart-values.yaml").read_text())

CUSTOM = {
    "HTTPRoute": "httproute_v1",
    "PodMonitor": "podmonitor_v1",
    "PrometheusRule": "prometheusrule_v1",
    "ScaledObject": "scaledobject_v1alpha1",
    "TriggerAuthentication": "triggerauthentication_v1alpha1",
}
"""Schema of each kind that Kubernetes itself has not."""

LISTS = {
    "HTTPRoute": "parentRefs",
    "PodMonitor": "podMetricsEndpoints",
    "PrometheusRule": "groups",
    "ScaledObject": "triggers",
    "TriggerAuthentication": "secretTargetRef",
}
"""A list in the specification of each kind."""

FILES = ROOT / "helm" / "wordcount" / "files"

Render = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize("kind", CUSTOM)
def test_custom_resources_are_valid(render: Render, kind: str) -> None:
    folder = ROOT.parent / "shared" / "crd-schemas"
    if not folder.is_dir():
        pytest.skip("the schemas of custom resources are not beside this checkout")
    schema = json.loads((folder / f"{CUSTOM[kind]}.json").read_text())
    document = render(FULL).one(kind)
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    document["spec"][LISTS[kind]] = "wrong"
    assert list(Draft202012Validator(schema).iter_errors(document)) != []


@pytest.mark.parametrize(("to", "service"), [("workers", "wc-wordcount"), ("views", "wc-wordcount-view")])
def test_an_ingress_leads_to_a_service_that_is_there_and_its_hosts_are_known(
    render: Render, to: str, service: str
) -> None:
    ingress = {"enabled": True, "to": to, "hosts": ["words.example"]}
    chart = render({"views": {"replicas": 1}, "ingress": ingress})
    (rule,) = chart.one("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    assert (rule["host"], backend["name"]) == ("words.example", service)
    assert backend["port"]["name"] in {
        port["name"] for port in chart.named("Service", service)["spec"]["ports"]
    }
    knows = {
        command: "words.example" in chart.environment_of(command)["WORDCOUNT_HTTP_ALLOWED_HOSTS"]["value"]
        for command in chart.pods
    }
    assert knows == {"worker": to == "workers", "view": to == "views"}


def test_an_ingress_has_the_class_annotations_and_certificate_of_the_values(render: Render) -> None:
    ingress, given = render(FULL).one("Ingress"), FULL["ingress"]
    assert ingress["metadata"]["annotations"] == given["annotations"]
    assert ingress["spec"]["ingressClassName"] == given["className"]
    assert ingress["spec"]["tls"] == [{"secretName": given["tlsSecret"], "hosts": given["hosts"]}]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == given["hosts"]


@pytest.mark.parametrize("to", ["workers", "views"])
def test_a_route_leads_to_a_service_that_is_there_and_its_hosts_are_known(render: Render, to: str) -> None:
    route = {"enabled": True, "to": to, "hosts": ["words.example"], "parentRefs": [{"name": "public"}]}
    chart = render({"views": {"replicas": 1, "service": {"port": 81}}, "httpRoute": route})
    spec = chart.one("HTTPRoute")["spec"]
    ((backend,),) = (rule["backendRefs"] for rule in spec["rules"])
    (port,) = chart.named("Service", backend["name"])["spec"]["ports"]
    assert (backend["name"].endswith("-view"), backend["port"]) == (to == "views", port["port"])
    assert (spec["hostnames"], spec["parentRefs"]) == (["words.example"], [{"name": "public"}])
    asked = chart.environment_of(to.removesuffix("s"))["WORDCOUNT_HTTP_ALLOWED_HOSTS"]["value"]
    assert asked.endswith(",words.example")


def test_metrics_of_all_pods_are_read_with_token_and_verified_certificate(render: Render) -> None:
    chart = render(FULL)
    monitor = chart.one("PodMonitor")
    assert monitor["metadata"]["labels"].items() >= FULL["podMonitor"]["labels"].items()
    for kind in ("StatefulSet", "Deployment"):
        labels = chart.one(kind)["spec"]["template"]["metadata"]["labels"]
        for one in monitor["spec"]["selector"]["matchExpressions"]:
            assert (one["operator"], labels[one["key"]] in one["values"]) == ("In", True)
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint == {
        "port": "http",
        "path": "/metrics",
        "interval": "15s",
        "scheme": "https",
        "authorization": {"credentials": {"name": "scraper", "key": "secret"}},
        "tlsConfig": {
            "serverName": "counts.example",
            "ca": {"secret": {"name": "http", "key": "authorities.pem"}},
        },
    }
    (plain,) = render({"podMonitor": {"enabled": True}}).one("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert plain == {"port": "http", "path": "/metrics", "interval": "30s", "scheme": "http"}


def test_alerts_are_the_file_with_job_memory_and_run_book_of_the_release(render: Render) -> None:
    text = (FILES / "alerts.yaml").read_text("utf-8")
    for values, job, memory, book in (
        ({"prometheusRule": {"enabled": True}}, "counting/wc-wordcount", "943718400", "docs/runbook.md"),
        (FULL, FULL["prometheusRule"]["job"], "1900000000", FULL["prometheusRule"]["runbookUrl"]),
    ):
        rule = render(values).one("PrometheusRule")
        changed = text.replace('job="wordcount"', f'job="{job}"').replace("943718400", memory)
        assert rule["spec"] == yaml.safe_load(changed.replace("docs/runbook.md", book))
        alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
        assert all(one["annotations"]["runbook_url"].startswith(f"{book}#") for one in alerts)
        assert all(f'job="{job}"' in one["expr"] for one in alerts)
    assert rule["metadata"]["labels"].items() >= FULL["prometheusRule"]["labels"].items()


def test_the_job_of_the_alerts_is_that_of_the_monitor(render: Render) -> None:
    chart = render({"prometheusRule": {"enabled": True}, "podMonitor": {"enabled": True}})
    monitor = chart.one("PodMonitor")["metadata"]
    rules = chart.one("PrometheusRule")["spec"]["groups"][0]["rules"]
    assert f'job="{monitor["namespace"]}/{monitor["name"]}"' in rules[0]["expr"]


def test_the_dashboard_is_the_file(render: Render) -> None:
    found = render(FULL).one("ConfigMap")
    assert found["data"] == {"wordcount.json": (FILES / "dashboard.json").read_text("utf-8")}
    assert found["metadata"]["labels"].items() >= FULL["dashboard"]["labels"].items()
    plain = render({"dashboard": {"enabled": True}}).one("ConfigMap")["metadata"]["labels"]
    assert plain["grafana_dashboard"] == "1"


def test_alerts_and_dashboard_have_the_labels_of_the_chart(render: Render) -> None:
    chart = render(FULL)
    for kind in ("PrometheusRule", "ConfigMap"):
        labels = chart.one(kind)["metadata"]["labels"]
        assert labels.items() >= FULL["commonLabels"].items()
        assert labels["app.kubernetes.io/instance"] == "wc"


def test_network_policies_let_through_what_pods_need_and_nothing_else(render: Render) -> None:
    chart, given = render(FULL), FULL["networkPolicy"]
    name = chart.one("StatefulSet")["metadata"]["name"]
    workers, views = (
        chart.named("NetworkPolicy", each)["spec"]
        for each in (name, chart.one("Deployment")["metadata"]["name"])
    )
    peers = {"podSelector": chart.one("StatefulSet")["spec"]["selector"]}
    dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    brokers = {
        "ports": [{"port": port, "protocol": "TCP"} for port in given["brokerPorts"]],
        "to": given["brokers"],
    }
    http = [{"port": "http", "protocol": "TCP"}]
    test = {"podSelector": {"matchLabels": chart.one("Pod")["metadata"]["labels"].copy()}}
    for name in test["podSelector"]["matchLabels"].keys() - peers["podSelector"]["matchLabels"].keys():
        del test["podSelector"]["matchLabels"][name]
    assert workers["podSelector"] == peers["podSelector"]
    assert workers["ingress"] == [{"ports": http, "from": [*given["clients"], peers, test]}]
    to_peers = {"ports": [{"port": 8080, "protocol": "TCP"}], "to": [peers]}
    assert workers["egress"] == [dns, brokers, to_peers, *given["egress"]]
    # A view asks no worker, and no worker asks it.
    assert views["podSelector"] == chart.one("Deployment")["spec"]["selector"]
    assert views["ingress"] == [{"ports": http, "from": given["clients"]}]
    assert views["egress"] == [dns, brokers, *given["egress"]]
    for policy in (workers, views):
        assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_a_network_policy_without_clients_and_brokers_closes_ports_alone(render: Render) -> None:
    policy = render({"networkPolicy": {"enabled": True}}).one("NetworkPolicy")["spec"]
    assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert policy["egress"][1] == {"ports": [{"port": 9092, "protocol": "TCP"}]}
