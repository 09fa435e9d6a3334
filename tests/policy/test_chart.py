"""The chart, rendered by a real helm, judged by Kubernetes' schemas and by what the image needs."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from app.config.loading import load_settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "wordcount"
KUBERNETES = [f"1.{minor}" for minor in range(30, 38)]
FULL: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("chart-values.yaml").read_text())

FILES = {
    "SSL_CA": ("certificates", "authority.pem"),
    "SSL_CERT": ("certificates", "client.pem"),
    "SSL_KEY": ("certificates", "client.key"),
    "TOKENS": ("tokens", "tokens.txt"),
    "HTTP_TLS_CERT": ("http", "server.pem"),
    "HTTP_TLS_KEY": ("http", "server.key"),
    "HTTP_TLS_CA": ("http", "authorities.pem"),
}
"""Secret and key of each file that a setting names in a chart with all values."""

Values = dict[str, Any]
CUSTOM = {"HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}
"""Kinds of which Kubernetes itself has no schema."""

Helm = Callable[..., "subprocess.CompletedProcess[str]"]
Render = Callable[[Values], Any]


def test_lint_finds_nothing(helm: Helm, chart_values: Values, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(chart_values))
    done = helm("lint", "--strict", CHART, "--values", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout), done.stdout


def test_the_validated_versions_are_all_from_where_the_chart_begins() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={KUBERNETES[0]}.0-0"
    assert kubernetes_validate.latest_version().startswith(f"{KUBERNETES[-1]}.")


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_document_is_valid(render: Render, chart_values: Values, version: str) -> None:
    chart = render(chart_values)
    for document in chart.documents:
        if document["kind"] not in CUSTOM:
            assert kubernetes_validate.validate(document, version, strict=True) == version
    kinds = sorted(document["kind"] for document in chart.documents)
    further = [
        *("Deployment", "PodDisruptionBudget", "Service"),
        *("ConfigMap", "Ingress", "NetworkPolicy", "NetworkPolicy", "Job", *CUSTOM),
    ]
    workers = ["Pod", "PodDisruptionBudget", "Service", "Service", "ServiceAccount", "StatefulSet"]
    assert kinds == sorted(workers + further if chart_values else workers)


def test_the_validation_would_notice(render: Render) -> None:
    for path, value in [("replicas", "two"), ("replica", 2)]:
        workers = render({}).one("StatefulSet")
        workers["spec"][path] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(workers, KUBERNETES[0], strict=True)


def test_documents_find_each_other(render: Render, chart_values: Values) -> None:
    chart = render(chart_values)
    workers = chart.one("StatefulSet")["spec"]
    labels = workers["selector"]["matchLabels"]
    services = {
        document["metadata"]["name"]: document["spec"]
        for document in chart.documents
        if document["kind"] == "Service"
    }
    headless = services.pop(workers["serviceName"])
    name = chart.one("StatefulSet")["metadata"]["name"]
    client = services.pop(name)
    assert services.keys() == ({f"{name}-view"} if chart_values else set())
    assert labels.items() <= workers["template"]["metadata"]["labels"].items()
    assert labels == headless["selector"] == client["selector"]
    assert headless["clusterIP"] == "None"
    assert headless["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in client
    (container,) = workers["template"]["spec"]["containers"]
    assert {port["targetPort"] for port in client["ports"] + headless["ports"]} == {
        container["ports"][0]["name"]
    }
    assert chart.pod["serviceAccountName"] == chart.one("ServiceAccount")["metadata"]["name"]
    assert {document["metadata"]["namespace"] for document in chart.documents} == {"counting"}
    assert chart.named("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    (spread,) = chart.pod["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels


def test_views_have_objects_of_their_own_and_no_selector_finds_pods_of_both(render: Render) -> None:
    chart = render(FULL)
    views, name = chart.one("Deployment")["spec"], chart.one("Deployment")["metadata"]["name"]
    labels = views["selector"]["matchLabels"]
    assert labels.items() <= views["template"]["metadata"]["labels"].items()
    assert chart.named("Service", name)["spec"]["selector"] == labels
    assert chart.named("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    assert chart.pods["view"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == labels
    of_workers = chart.one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    # What Kubernetes selects: pods that have all labels of the selector.
    assert not labels.items() <= of_workers.items()
    assert not of_workers.items() <= labels.items()
    assert chart.pods["view"]["serviceAccountName"] == chart.pod["serviceAccountName"]


def test_a_view_is_replaced_only_when_a_new_one_is_ready(render: Render) -> None:
    chart = render({"views": {"replicas": 1}})
    assert chart.one("Deployment")["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 1,
        "maxUnavailable": 0,
    }
    (state,) = (volume for volume in chart.pods["view"]["volumes"] if volume["name"] == "state")
    assert state["emptyDir"] == {"sizeLimit": "10Gi"}
    (container,) = chart.pods["view"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["state"] == chart.environment_of("view")["WORDCOUNT_STATE_DIR"]["value"]


def test_a_view_has_what_a_worker_has_but_no_membership_and_no_secret_of_the_workers(render: Render) -> None:
    chart = render(FULL)
    worker, view = chart.environment_of("worker"), chart.environment_of("view")
    static = render({"staticMembership": {"enabled": True}, "views": {"replicas": 1}})
    assert "WORDCOUNT_GROUP_INSTANCE_ID" in static.environment_of("worker")
    assert "WORDCOUNT_GROUP_INSTANCE_ID" not in static.environment_of("view")
    assert worker.keys() - view.keys() == {
        *("WORDCOUNT_MEMORY_MB", "WORDCOUNT_WATCHES"),
    }
    assert {name for name in view if view[name] != worker.get(name)} == {"WORDCOUNT_HTTP_ALLOWED_HOSTS"}
    secrets = yaml.safe_dump(chart.pods["view"]["volumes"])
    assert "WORDCOUNT_SASL_PASSWORD" in secrets
    assert "WORDCOUNT_PEER_SECRET" not in secrets
    assert "watches" not in secrets
    own = {"args", "env", "resources"}
    (of_worker,), (of_view,) = (chart.pods[name]["containers"] for name in ("worker", "view"))
    of_worker["volumeMounts"] = [one for one in of_worker["volumeMounts"] if one["name"] != "watches"]
    assert {name: of_view[name] for name in of_view.keys() - own} == {
        name: of_worker[name] for name in of_worker.keys() - own
    }
    assert of_view["resources"] == FULL["views"]["resources"]


def test_a_pod_goes_on_answering_while_services_forget_it(render: Render) -> None:
    for name, pod in render(FULL).pods.items():
        environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        assert environment["WORDCOUNT_DRAIN_S"] == "20", name
    pod = render({}).pod
    environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    drain_s = int(environment["WORDCOUNT_DRAIN_S"])
    assert drain_s >= 5
    assert drain_s + load_settings().shutdown_timeout_s < pod["terminationGracePeriodSeconds"]


def test_a_rebalance_does_not_take_all_workers_out_of_the_service(render: Render) -> None:
    probe = render({}).pod["containers"][0]["readinessProbe"]
    shortest_s = probe["periodSeconds"] * (probe["failureThreshold"] - 1)
    assert shortest_s >= load_settings().session_timeout_ms / 1000


def test_no_more_workers_are_away_at_once_than_each_partition_has_standbys(render: Render) -> None:
    chart = render({})
    assert chart.one("PodDisruptionBudget")["spec"]["maxUnavailable"] <= load_settings().standbys
    workers = chart.one("StatefulSet")["spec"]
    assert workers["updateStrategy"] == {"type": "RollingUpdate"}
    assert workers["minReadySeconds"] == 15


def test_a_long_name_leaves_room_for_what_is_added(render: Render) -> None:
    chart = render({"fullnameOverride": "w" * 63})
    assert max(len(document["metadata"]["name"]) for document in chart.documents) <= 61
    assert len(chart.one("StatefulSet")["metadata"]["name"]) == 52


@pytest.mark.parametrize("command", ["worker", "view"])
def test_the_restricted_pod_security_profile_is_met(
    render: Render, chart_values: Values, command: str
) -> None:
    spec = render({**chart_values, "views": {"replicas": 1}}).pods[command]
    (container,) = spec["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & spec.keys()
    assert all("hostPort" not in port for port in container["ports"])
    assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= {
        "configMap",
        "emptyDir",
        "projected",
        "secret",
    }


def test_no_token_and_no_service_variables_reach_a_pod(render: Render, chart_values: Values) -> None:
    # A Service called "web" would otherwise set WEB_PORT=tcp://…, which Faust reads as its port.
    chart = render(chart_values)
    assert chart.pods.keys() == ({"worker", "view"} if chart_values else {"worker"})
    for pod in chart.pods.values():
        assert pod["enableServiceLinks"] is False
        assert pod["automountServiceAccountToken"] is False
    assert chart.one("ServiceAccount")["automountServiceAccountToken"] is False


def test_probes_ask_what_they_mean(render: Render, chart_values: Values) -> None:
    (container,) = render(chart_values).pod["containers"]
    scheme = "HTTPS" if chart_values else "HTTP"
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {
        "startupProbe": {"path": "/livez", "port": "http", "scheme": scheme},
        "livenessProbe": {"path": "/livez", "port": "http", "scheme": scheme},
        "readinessProbe": {"path": "/readyz", "port": "http", "scheme": scheme},
    }


def test_the_pod_fits_the_image(render: Render, chart_values: Values) -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    chart = render(chart_values)
    (container,) = chart.pod["containers"]
    given = {name: entry.get("value") for name, entry in chart.environment.items()}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for name in ("WORDCOUNT_STATE_DIR", "WORDCOUNT_HTTP_HOST", "WORDCOUNT_HTTP_PORT"):
        assert re.search(rf"^ +{name}={re.escape(str(given[name]))}(?= |$)", recipe, re.MULTILINE), name
    assert "USER 10001:10001" in recipe
    assert f"CMD {json.dumps(container['args'])}" in recipe
    assert "command" not in container
    assert container["ports"][0]["containerPort"] == int(str(given["WORDCOUNT_HTTP_PORT"]))
    (claim,) = chart.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert mounts[claim["metadata"]["name"]] == given["WORDCOUNT_STATE_DIR"]
    assert mounts["tmp"] == "/tmp"


def test_the_image_is_pinned_by_digest_or_by_the_version_of_the_product(
    render: Render,
) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert render({}).pod["containers"][0]["image"] == f"wordcount:{version}"
    assert (
        render(FULL).pod["containers"][0]["image"] == f"registry.example/wordcount@{FULL['image']['digest']}"
    )


def test_secrets_are_only_referred_to(render: Render) -> None:
    chart = render(FULL)
    added = {entry["name"] for entry in FULL["extraEnv"]}
    given = {name: entry for name, entry in chart.environment.items() if name not in added}
    # As files, which change with the secret while the pod runs; variables would not.
    assert not [entry for entry in given.values() if "secretKeyRef" in entry.get("valueFrom", {})]
    (passwords,) = (volume["projected"] for volume in chart.pod["volumes"] if "projected" in volume)
    references = {
        item["path"].removeprefix("WORDCOUNT_"): {"name": source["secret"]["name"], "key": item["key"]}
        for source in passwords["sources"]
        for item in source["secret"]["items"]
    }
    assert references == {
        "SASL_USERNAME": {"name": "login", "key": "user"},
        "SASL_PASSWORD": {"name": "login", "key": "pass"},
        "SSL_KEY_PASSWORD": {"name": "certificates", "key": "client.password"},
        "PEER_SECRET": {"name": "peers", "key": "peers.txt"},
    }
    mounted = {mount["name"]: mount["mountPath"] for mount in chart.pod["containers"][0]["volumeMounts"]}
    assert mounted["passwords"] == given["WORDCOUNT_SECRETS_DIR"]["value"]
    assert "passwords" not in {volume["name"] for volume in render({}).pod["volumes"]}
    files = {
        f"{mounted[volume['name']]}/{item['path']}": (volume["secret"]["secretName"], item["key"])
        for volume in chart.pod["volumes"]
        if "secret" in volume
        for item in volume["secret"].get("items", [])
    }
    whole = {
        mounted[volume["name"]]: volume["secret"]["secretName"]
        for volume in chart.pod["volumes"]
        if "items" not in volume.get("secret", {"items": []})
    }
    # The file of watches names the others of its secret.
    assert whole == {given["WORDCOUNT_WATCHES"]["value"].removesuffix("/all.toml"): "watches"}
    assert {files.pop(given[f"WORDCOUNT_{name}_FILE"]["value"]) for name in FILES} == set(FILES.values())
    assert files == {}
    assert [volume for volume in render({}).pod["volumes"] if "secret" in volume] == []
    assert "Secret" not in {document["kind"] for document in chart.documents}
    assert chart.one("ConfigMap")["data"].keys() == {"wordcount.json"}


def test_the_pod_name_is_the_member_only_with_static_membership(
    render: Render,
) -> None:
    static = render({"staticMembership": {"enabled": True}})
    assert static.environment["WORDCOUNT_GROUP_INSTANCE_ID"] == {
        "name": "WORDCOUNT_GROUP_INSTANCE_ID",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
    }
    assert "WORDCOUNT_GROUP_INSTANCE_ID" not in render({}).environment


def test_an_account_that_exists_is_used_and_not_made(render: Render) -> None:
    chart = render({"serviceAccount": {"create": False, "name": "own"}})
    assert chart.pod["serviceAccountName"] == "own"
    assert "ServiceAccount" not in {document["kind"] for document in chart.documents}


def test_a_new_version_of_the_chart_changes_no_claim_and_restarts_no_pod(helm: Helm, tmp_path: Path) -> None:
    rendered = []
    for version in ("7.0.0", "8.0.0"):
        packed = helm("package", CHART, "--version", version, "--destination", tmp_path)
        assert packed.returncode == 0, packed.stderr
        done = helm("template", "wc", tmp_path / f"wordcount-{version}.tgz", "--set", "views.replicas=1")
        assert f"wordcount-{version}" in done.stdout
        documents = list(yaml.safe_load_all(done.stdout))
        rendered.append([each["spec"] for each in documents if each["kind"] in {"StatefulSet", "Deployment"}])
    assert rendered[0] == rendered[1]
    assert len(rendered[0]) == 2


def test_the_example_with_access_to_http_is_what_the_chart_takes_and_the_worker_reads(
    render: Render,
) -> None:
    values = yaml.safe_load((ROOT / "docs" / "examples" / "chart-access.yaml").read_text())
    chart = render(values)
    given = {name: entry.get("value") for name, entry in chart.environment.items()}
    assert given["WORDCOUNT_TOKENS_FILE"] == "/etc/wordcount/http-tokens/tokens"
    assert given["WORDCOUNT_HTTP_TLS_CERT_FILE"] == "/etc/wordcount/http-tls/tls.crt"
    assert given["WORDCOUNT_HTTP_TLS_KEY_FILE"] == "/etc/wordcount/http-tls/tls.key"
    assert (given["WORDCOUNT_RATE_LIMIT_PER_S"], given["WORDCOUNT_CORS_ORIGINS"]) == (
        "20",
        "https://dashboard.example",
    )
    for document in chart.documents:
        assert kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)
    # A mounted secret follows its changes only where a whole folder is mounted.
    assert [mount for mount in chart.pod["containers"][0]["volumeMounts"] if "subPath" in mount] == []


def test_access_to_http_is_open_by_default(render: Render) -> None:
    chart = render({})
    assert not {"WORDCOUNT_TOKENS_FILE", "WORDCOUNT_HTTP_TLS_CERT_FILE"} & chart.environment.keys()
    assert "scheme: HTTPS" not in yaml.safe_dump_all(chart.documents)


def test_the_example_with_views_is_what_the_chart_takes(render: Render) -> None:
    values = yaml.safe_load((ROOT / "docs" / "examples" / "chart-views.yaml").read_text())
    chart = render(values)
    assert chart.pods.keys() == {"worker", "view"}
    for command in chart.pods:
        given = {name: entry.get("value") for name, entry in chart.environment_of(command).items()}
        assert given["WORDCOUNT_TOKENS_FILE"] == "/etc/wordcount/http-tokens/tokens"
        assert given["WORDCOUNT_HTTP_TLS_CERT_FILE"] == "/etc/wordcount/http-tls/tls.crt"
        assert given["WORDCOUNT_RATE_LIMIT_PER_S"] == "20"
    assert [
        command for command, pod in chart.pods.items() if "wordcount-peers" in yaml.safe_dump(pod["volumes"])
    ] == ["worker"]
    for document in chart.documents:
        assert kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)
