"""The chart's values: closed, typed, and in step with the product's settings."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.loading import load_settings
from app.config.settings import Settings
from app.web.hosts import AllowedHosts

CHART = Path(__file__).parents[2] / "helm" / "wordcount"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
FULL: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("chart-values.yaml").read_text())

# Settings that the chart sets itself, from other values or from secrets.
OF_THE_CHART = {
    *("state_dir", "http_host", "http_port", "http_allowed_hosts", "group_instance_id", "secrets_dir"),
    *("token", "tokens_file", "http_tls_cert_file", "http_tls_key_file", "http_tls_ca_file"),
    *("sasl_username", "sasl_password", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password"),
    *("advertised_url", "peer_secret", "watches"),
}

Values = dict[str, Any]
Render = Callable[[Values], Any]
Template = Callable[[Values], "subprocess.CompletedProcess[str]"]


def changed(path: str, value: object, base: dict[str, Any] = FULL) -> dict[str, Any]:
    """A copy of some values with one of them replaced."""
    new = copy.deepcopy(base)
    *folders, name = path.split(".")
    at = new
    for folder in folders:
        at = at.setdefault(folder, {})
    at[name] = value
    return new


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a schema that has named members."""
    if "properties" in schema:
        yield path, schema
        for name, member in schema["properties"].items():
            yield from objects(member, f"{path}/{name}")
    if "items" in schema:
        yield from objects(schema["items"], f"{path}/*")


def names(tree: object, path: str = "") -> set[str]:
    """Paths of all members of a tree of mappings, but no members of mappings whose names are free."""
    if not isinstance(tree, dict) or path in FREE:
        return set()
    return {f"{path}/{key}" for key in tree}.union(*(names(tree[key], f"{path}/{key}") for key in tree))


FREE = {
    *("/commonLabels", "/podAnnotations", "/nodeSelector", "/affinity"),
    *("/views/podAnnotations", "/views/nodeSelector", "/views/affinity"),
    *("/ingress/annotations", "/httpRoute/annotations", "/podMonitor/labels"),
    *("/prometheusRule/labels", "/dashboard/labels"),
}
"""Mappings whose members are those of Kubernetes, or names of the user."""


def test_the_schema_is_closed_and_names_every_value() -> None:
    open_ones = [path for path, schema in objects(SCHEMA) if schema.get("additionalProperties") is not False]
    assert open_ones == []
    described = {f"{path}/{name}" for path, schema in objects(SCHEMA) for name in schema["properties"]}
    described = {path for path in described if "*" not in path} - {"/global"}
    assert names(FULL) == described
    optional = {
        path for path in described if path.startswith(("/settings/", "/resources/", "/views/resources/"))
    }
    assert described - optional <= names(DEFAULTS) <= described


def test_the_chart_offers_every_setting_with_the_bounds_of_the_product() -> None:
    offered = SCHEMA["properties"]["settings"]["properties"]
    known = Settings.model_json_schema()["properties"]
    assert offered.keys() == known.keys() - OF_THE_CHART
    assert known.keys() >= OF_THE_CHART
    marks = ("type", "enum", "const", "minimum", "maximum")
    for name, chart in offered.items():
        field = known[name].get("anyOf", [known[name]])[0]
        product = {mark: field[mark] for mark in marks if mark in field}
        if product["type"] == "array":
            product = {"type": "string"}  # comma separated, as in the environment
        assert {mark: chart[mark] for mark in marks if mark in chart} == product, name


def test_default_settings_differ_from_the_product_only_where_a_cluster_does() -> None:
    for name in DEFAULTS["settings"].keys() - {"bootstrap_servers", "log_format", "drain_s"}:
        assert DEFAULTS["settings"][name] == Settings.model_fields[name].default, name


def test_every_variable_is_a_setting_of_the_product(render: Render, chart_values: Values) -> None:
    chart = render(chart_values)
    added = {entry["name"] for entry in chart_values.get("extraEnv", [])}
    for command in chart.pods:
        given = chart.environment_of(command)
        assert added <= given.keys()
        assert given.keys() - added <= {f"WORDCOUNT_{name.upper()}" for name in Settings.model_fields}
        assert "WORDCOUNT_BOOTSTRAP_SERVERS" in given


@pytest.mark.parametrize("command", ["worker", "view"])
def test_the_product_reads_what_the_chart_writes(
    render: Render,
    chart_values: Values,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    chart = render({**chart_values, "views": {"replicas": 1}})
    for volume in chart.pods[command]["volumes"]:
        # The secret of watches is mounted with all of its keys.
        secret = volume.get("secret", {})
        for item in secret.get("items", [{"path": FULL["watches"]["key"]}] if secret else []):
            (tmp_path / volume["name"]).mkdir(exist_ok=True)
            (tmp_path / volume["name"] / item["path"]).write_text("PEM")
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                (secrets / item["path"]).write_text("from somewhere else")
    for name, entry in chart.environment_of(command).items():
        assert ("value" in entry) != ("valueFrom" in entry), entry
        value = entry.get("value", "true-0")
        assert isinstance(value, str), entry
        monkeypatch.setenv(name, value.replace("/etc/wordcount", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    read = load_settings(with_peers=command == "worker")
    for name, value in (chart_values or DEFAULTS)["settings"].items():
        found = getattr(read, name)
        expected = None if (command, name) == ("view", "memory_mb") else value
        assert (",".join(found) if isinstance(found, tuple) else found) == expected, name
    assert read.shutdown_timeout_s < chart.pods[command]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    "path",
    [
        "replica",
        "settings.flush_interval",
        "settings.sasl_password",
        "settings.http_port",
        "image.registry",
        "resources.limits.cpus",
        "tls.password",
        "access.tls.authority",
        "settings.tokens_file",
        "settings.token",
        "persistence.enabled",
        "views.persistence",
        "views.service.targetPort",
        "affinity.nodeAffinities",
        "views.hostNetwork",
        "ingress.host",
        "networkPolicy.from",
        "podMonitor.tokens",
        "prometheusRule.url",
        "dashboard.folder",
    ],
)
def test_an_unknown_value_is_refused_by_name(template: Template, path: str) -> None:
    done = template(changed(path, "1"))
    assert done.returncode != 0
    *folders, name = path.split(".")
    place = "".join(f"/{folder}" for folder in folders)
    assert f"at '{place}': additional properties '{name}' not allowed" in done.stderr


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicas", "2"),
        ("replicas", 1.5),
        ("settings.flush_interval_ms", "500"),
        ("settings.flush_interval_ms", 9),
        ("settings.create_topics", "false"),
        ("settings.profile", "java"),
        ("settings.processing_guarantee", "exactly_once"),
        ("settings.bootstrap_servers", ""),
        ("settings.bootstrap_servers", None),
        ("settings.group", 123),
        ("image.digest", "latest"),
        ("imagePullSecrets", ["pull"]),
        ("sasl.existingSecret", 789),
        ("settings.rate_limit_per_s", 0),
        ("access.tokens.existingSecret", "Tokens"),
        ("access.tokens.key", ""),
        ("access.tls.privateKeyKey", ""),
        ("service.port", 65_536),
        ("service.allowedHosts", ["counts.example:80"]),
        ("persistence.accessMode", "ReadWriteMany"),
        ("persistence.size", "ten"),
        ("podDisruptionBudget.maxUnavailable", "one"),
        ("terminationGracePeriodSeconds", None),
        ("minReadySeconds", "15"),
        ("views.replicas", -1),
        ("views.stateSizeLimit", "much"),
        ("commonLabels", {"team": 7}),
        ("commonLabels", {"team": "a b"}),
        ("podAnnotations", {"scrape": True}),
        ("tolerations", [{"key": "counting", "effect": "NoRun"}]),
        ("priorityClassName", "High"),
        ("extraEnv", [{"value": "UTC"}]),
        ("extraVolumes", [{"name": "files", "hostPath": {"path": "/"}}]),
        ("extraVolumes", [{"name": "files"}]),
        ("extraVolumeMounts", [{"name": "authorities", "mountPath": "certificates"}]),
        ("views.nodeSelector", {"pool": 1}),
        ("ingress.to", "brokers"),
        ("ingress.hosts", ["https://words.example"]),
        ("networkPolicy.clients", [{"pods": {}}]),
        ("networkPolicy.brokerPorts", []),
        ("httpRoute.parentRefs", [{"namespace": "gateways"}]),
        ("podMonitor.interval", 15),
        ("prometheusRule.job", 'a"b'),
        ("prometheusRule.runbookUrl", ""),
        ("prometheusRule.memoryBytes", "1Gi"),
        ("dashboard.labels", {"grafana_dashboard": 1}),
    ],
)
def test_a_wrong_value_is_refused_by_name(template: Template, path: str, value: object) -> None:
    done = template(changed(path, value))
    assert done.returncode != 0
    assert "the schema" in done.stderr
    assert path.rsplit(".", maxsplit=1)[-1] in done.stderr


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (
            changed("terminationGracePeriodSeconds", 79),
            ["terminationGracePeriodSeconds (79)", "settings.drain_s (20)", "shutdown_timeout_s (59)"],
        ),
        (
            {"settings": {"shutdown_timeout_s": 35}},
            ["terminationGracePeriodSeconds (40)", "settings.drain_s (5)", "shutdown_timeout_s (35)"],
        ),
        (changed("sasl.existingSecret", ""), ["SASL_SSL", "sasl.existingSecret is empty"]),
        (changed("settings.security_protocol", "SSL"), ["sasl.existingSecret", "SSL"]),
        (changed("settings.security_protocol", "SASL_PLAINTEXT"), ["tls.existingSecret", "SASL_PLAINTEXT"]),
        ({"sasl": {"existingSecret": "login"}}, ["sasl.existingSecret", "PLAINTEXT"]),
        (
            changed("access.peers.existingSecret", ""),
            ["access.tokens.existingSecret", "access.peers.existingSecret is empty"],
        ),
        (
            {"access": {"tls": {"caKey": "ca.crt"}}},
            ["access.tls.caKey", "access.tls.existingSecret is empty"],
        ),
        ({"tls": {"certKey": "client.pem"}}, ["tls.certKey", "tls.existingSecret is empty"]),
        ({"commonLabels": {"app.kubernetes.io/name": "x"}}, ["commonLabels", "app.kubernetes.io/name"]),
        ({"ingress": {"enabled": True}}, ["ingress.enabled", "ingress.hosts is empty"]),
        ({"httpRoute": {"enabled": True}}, ["httpRoute.enabled", "httpRoute.hosts is empty"]),
        (
            {"httpRoute": {"enabled": True, "hosts": ["a.example"]}},
            ["httpRoute.enabled", "httpRoute.parentRefs is empty"],
        ),
        (changed("podMonitor.token.existingSecret", ""), ["podMonitor.token.existingSecret is empty"]),
        (
            {"podMonitor": {"enabled": True, "serverName": "a.example"}},
            ["podMonitor.serverName", "access.tls.existingSecret"],
        ),
        (
            {"ingress": {"enabled": True, "to": "views", "hosts": ["a.example"]}},
            ["ingress.to", "views.replicas"],
        ),
        (
            {"networkPolicy": {"enabled": True}, "settings": {"bootstrap_servers": "a:9092,b:9093"}},
            ["b:9093", "networkPolicy.brokerPorts"],
        ),
        (
            {"networkPolicy": {"enabled": True}, "watches": {"existingSecret": "watches"}},
            ["watches.existingSecret", "networkPolicy.egress is empty"],
        ),
        (changed("autoscaling.minReplicas", 13), ["autoscaling.maxReplicas (12)", "minReplicas (13)"]),
        (changed("autoscaling.maxReplicas", 17), ["autoscaling.maxReplicas (17)", "partitions (16)"]),
        ({"autoscaling": {"by": "hpa", "maxReplicas": 9}}, ["autoscaling.maxReplicas (9)", "partitions (8)"]),
        (changed("staticMembership.enabled", True), ["autoscaling.by", "staticMembership.enabled"]),
        (changed("settings.create_topics", True), ["topics.by", "settings.create_topics"]),
        (changed("topics.by", "workers"), ["topics.existingSecret", "topics.by is not job"]),
        ({"topics": {"by": "job", "existingSecret": "x"}}, ["topics.existingSecret", "sasl.existingSecret"]),
        ({"extraEnv": [{"name": "WORDCOUNT_GROUP", "value": "x"}]}, ["extraEnv", "WORDCOUNT_GROUP"]),
        ({"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, ["extraVolumes", "tmp"]),
        (
            {"extraVolumes": [{"name": "own", "emptyDir": {}}, {"name": "own", "emptyDir": {}}]},
            ["extraVolumes", "own"],
        ),
        (
            {"extraVolumeMounts": [{"name": "authority", "mountPath": "/x"}]},
            ["extraVolumeMounts", "authority"],
        ),
        (changed("tls.certKey", ""), ["private key without a certificate", "tls.certKey"]),
        (
            changed("tls", {"existingSecret": "certificates", "caKey": ""}),
            ["tls.existingSecret", "tls.caKey", "tls.certKey"],
        ),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(
    template: Template,
    values: Values,
    named: list[str],
) -> None:
    done = template(values)
    assert done.returncode != 0
    assert "execution error" in done.stderr
    for name in named:
        assert name in done.stderr


def test_clients_may_use_the_names_of_the_service_and_of_the_pods_and_those_that_were_added(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = render({"service": {"allowedHosts": ["counts.example"]}}).environment
    monkeypatch.setenv("WORDCOUNT_HTTP_ALLOWED_HOSTS", given["WORDCOUNT_HTTP_ALLOWED_HOSTS"]["value"])
    allowed = AllowedHosts(load_settings().http_allowed_hosts)
    chart = render({})
    service, namespace = (chart.one("StatefulSet")["metadata"][name] for name in ("name", "namespace"))
    for suffix in ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local"):
        assert allowed.allows(f"{service}{suffix}:8080")
        assert allowed.allows(f"{service}-0.{service}-headless{suffix}:8080")
    assert allowed.allows("counts.example")
    assert not allowed.allows(f"other.{namespace}.svc")


def test_clients_may_use_the_names_of_the_service_of_views(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = render({"views": {"replicas": 1, "service": {"allowedHosts": ["views.example"]}}})
    given = chart.environment_of("view")["WORDCOUNT_HTTP_ALLOWED_HOSTS"]["value"]
    monkeypatch.setenv("WORDCOUNT_HTTP_ALLOWED_HOSTS", given)
    allowed = AllowedHosts(load_settings().http_allowed_hosts)
    views = chart.one("Deployment")["metadata"]
    for suffix in ("", f".{views['namespace']}", f".{views['namespace']}.svc"):
        assert allowed.allows(f"{views['name']}{suffix}:8080")
    assert allowed.allows("views.example")
    assert not allowed.allows(chart.one("StatefulSet")["metadata"]["name"])


def test_the_grace_period_may_be_one_second_longer(render: Render) -> None:
    chart = render({"terminationGracePeriodSeconds": 31})
    assert chart.pod["terminationGracePeriodSeconds"] == 31
    assert chart.environment["WORDCOUNT_SHUTDOWN_TIMEOUT_S"]["value"] == "25"
