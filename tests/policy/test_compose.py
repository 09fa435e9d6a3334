"""`compose.yaml`, checked without an engine: by the specification's schema, and against image and product."""

from __future__ import annotations

import copy
import json
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import command_line
from app.config.loading import load_settings
from app.config.settings import Settings
from app.config.types import is_secret
from app.web.hosts import AllowedHosts
from tests.policy.dockerfile import ROOT, RUNTIME, environment, only

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OF_THE_PRODUCT = [name for name, service in SERVICES.items() if "build" in service]
OF_OTHERS = [name for name in SERVICES if name not in OF_THE_PRODUCT]
KAFKA = SERVICES["kafka"]
HTTP_PORT = only(RUNTIME, "EXPOSE")

each = pytest.mark.parametrize("name", SERVICES)
each_of_the_product = pytest.mark.parametrize("name", OF_THE_PRODUCT)


def refusals(file: Path) -> str:
    """What the schema of the Compose specification refuses of a file; empty = nothing."""
    tool = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*tool, file], capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def published(name: str) -> dict[str, str]:
    """Ports of this machine, and the port of the service to which each leads."""
    found = {}
    for port in SERVICES[name].get("ports", []):
        address, outside, inside = port.split(":")
        assert address == "127.0.0.1", f"{name}: {port} is open to other machines"
        found[outside] = inside
    return found


def mounts(name: str) -> list[tuple[str, str, bool]]:
    """(source, place, whether it is read-only) of each volume of a service."""
    parts = [volume.split(":") for volume in SERVICES[name].get("volumes", [])]
    return [(source, place, options == ["ro"]) for source, place, *options in parts]


def listeners(text: str) -> dict[str, tuple[str, str]]:
    """Host and port by name of Kafka's listeners."""
    return {name: (host, port) for name, host, port in re.findall(r"(\w+)://([\w.-]*):(\d+)", text)}


@pytest.mark.slow
def test_the_schema_of_the_specification_accepts_it(tmp_path: Path) -> None:
    assert refusals(ROOT / "compose.yaml") == ""
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"]["view"]["read_onyl"] = True
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(wrong))
    assert "read_onyl" in refusals(file)


def test_it_has_two_workers_and_a_view() -> None:
    commands = [SERVICES[name]["command"] for name in OF_THE_PRODUCT]
    assert sorted(commands) == [["view"], ["worker"], ["worker"]]
    assert all(command_line().get_command(None, words[0]) for words in commands)


@each_of_the_product
def test_the_product_reads_its_variables_back(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = SERVICES[name]["environment"]
    assert given.keys() <= {f"WORDCOUNT_{field.upper()}" for field in Settings.model_fields}
    assert all(isinstance(value, str) for value in given.values())
    whole = {**environment(), **given}
    for variable, value in whole.items():
        if variable.startswith("WORDCOUNT_"):
            monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    read = load_settings(with_peers=SERVICES[name]["command"] == ["worker"])
    for variable, value in given.items():
        found = getattr(read, variable.removeprefix("WORDCOUNT_").lower())
        texts = {
            str(found),
            str(found).lower(),
            ",".join(map(str, found)) if isinstance(found, tuple) else "",
        }
        assert value in texts, variable
    assert AllowedHosts(read.http_allowed_hosts).allows(f"{name}:{HTTP_PORT}")
    (grace_s,) = re.fullmatch(r"(\d+)s", SERVICES[name]["stop_grace_period"]).groups()
    assert read.drain_s + read.shutdown_timeout_s < int(grace_s)


@each_of_the_product
def test_it_runs_the_image_as_the_image_is_meant(name: str) -> None:
    service = SERVICES[name]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (service["build"], service["image"]) == (".", f"wordcount:{version}")
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    # User, health check, signal and entry point are those of the image.
    assert not service.keys() & {"user", "healthcheck", "stop_signal", "entrypoint", "working_dir"}
    assert list(published(name).values()) == [HTTP_PORT]
    assert service["depends_on"] == {"kafka": {"condition": "service_healthy"}}


@each
def test_no_container_may_do_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user") not in {"root", "0", "0:0"}
    assert not service.keys() & {
        "privileged",
        "cap_add",
        "network_mode",
        "pid",
        "ipc",
        "devices",
        "userns_mode",
    }


def test_every_process_has_its_own_state() -> None:
    states = [mounts(name) for name in OF_THE_PRODUCT]
    assert {place for state in states for _, place, _ in state} == {environment()["WORDCOUNT_STATE_DIR"]}
    assert all(len(state) == 1 and not read_only for state in states for _, _, read_only in state)
    assert len({source for state in states for source, _, _ in state}) == len(states)


def test_volumes_are_declared_and_files_exist() -> None:
    sources = [mount for name in SERVICES for mount in mounts(name)]
    files = [mount for mount in sources if mount[0].startswith(("./", "/", "~"))]
    assert files
    for source, _, read_only in files:
        assert source.startswith("./")
        assert (ROOT / source).is_file(), source
        assert read_only, source
    assert {source for source, _, _ in sources} - {source for source, _, _ in files} == COMPOSE[
        "volumes"
    ].keys()


def test_ports_are_open_to_this_machine_only_and_differ() -> None:
    outside = [port for name in SERVICES for port in published(name)]
    assert len(outside) == len(set(outside))
    head = (ROOT / "compose.yaml").read_text("utf-8").split("\nname:")[0]
    assert sorted(re.findall(r"\b(?:\d{4,5})\b", head)) == sorted(outside)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_versions_of_other_images_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", SERVICES[name]["image"])


def test_kafka_is_the_version_of_make_run() -> None:
    jars = (ROOT / "app" / "local" / "jars.lock").read_text("utf-8")
    version = re.search(r":kafka_2\.13:(\S+) ", jars)[1]
    assert KAFKA["image"].split("@")[0] == f"apache/kafka:{version}"


def test_clients_inside_and_outside_reach_the_address_that_kafka_advertises() -> None:
    has = KAFKA["environment"]
    opened, advertised = listeners(has["KAFKA_LISTENERS"]), listeners(has["KAFKA_ADVERTISED_LISTENERS"])
    controller = has["KAFKA_CONTROLLER_LISTENER_NAMES"]
    assert opened.keys() == advertised.keys() | {controller}
    assert {name: port for name, (_, port) in advertised.items()} == {
        name: port for name, (_, port) in opened.items() if name != controller
    }
    protocols = dict(pair.split(":") for pair in has["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert protocols == dict.fromkeys(opened, "PLAINTEXT")
    quorum = ":".join(opened[controller])
    assert has["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{has['KAFKA_NODE_ID']}@{quorum}"
    inside = advertised[has["KAFKA_INTER_BROKER_LISTENER_NAME"]]
    for name in OF_THE_PRODUCT:
        assert SERVICES[name]["environment"]["WORDCOUNT_BOOTSTRAP_SERVERS"] == ":".join(inside)
    assert inside[0] == "kafka"
    (outside,) = [address for address in advertised.values() if address != inside]
    assert published("kafka") == {outside[1]: outside[1]}
    assert ":".join(outside) == Settings.model_fields["bootstrap_servers"].default


def test_kafka_keeps_its_data_in_its_volume() -> None:
    assert [place for _, place, _ in mounts("kafka")] == [KAFKA["environment"]["KAFKA_LOG_DIRS"]]


def test_health_check_of_kafka_tells_whether_its_port_is_open() -> None:
    kind, *command = KAFKA["healthcheck"]["test"]
    assert kind == "CMD"
    outside = published("kafka").popitem()[1]
    assert f"/{outside}" in command[-1]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command[-1] = command[-1].replace(f"/{outside}", f"/{port}")
        assert subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    assert subprocess.run(command, capture_output=True, timeout=20, check=False).returncode != 0


def test_prometheus_reads_the_file_and_the_services_that_exist() -> None:
    (given,) = re.findall(r"--config\.file=(\S+)", "\n".join(SERVICES["prometheus"]["command"]))
    (source,) = [source for source, place, _ in mounts("prometheus") if place == given]
    (job,) = yaml.safe_load((ROOT / source).read_text("utf-8"))["scrape_configs"]
    (targets,) = [group["targets"] for group in job["static_configs"]]
    assert sorted(targets) == sorted(f"{name}:{HTTP_PORT}" for name in OF_THE_PRODUCT)
    assert job.get("metrics_path", "/metrics") == "/metrics"
    (store,) = re.findall(r"--storage\.tsdb\.path=(\S+)", "\n".join(SERVICES["prometheus"]["command"]))
    assert store in [place for _, place, read_only in mounts("prometheus") if not read_only]


def test_prometheus_reads_the_alerts_of_the_chart_for_the_job_that_they_name() -> None:
    places = {place: source for source, place, _ in mounts("prometheus")}
    folder = "/etc/prometheus/"
    config = yaml.safe_load((ROOT / places[f"{folder}prometheus.yaml"]).read_text("utf-8"))
    assert [places[folder + name] for name in config["rule_files"]] == ["./helm/wordcount/files/alerts.yaml"]
    rules = (ROOT / places[f"{folder}alerts.yaml"]).read_text("utf-8")
    assert set(re.findall(r'\bjob="([^"]+)"', rules)) == {job["job_name"] for job in config["scrape_configs"]}


def test_grafana_shows_the_dashboard_of_the_chart_from_this_prometheus() -> None:
    places = {place: source for source, place, _ in mounts("grafana")}
    provisioning = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load((ROOT / places[f"{provisioning}/datasources/wordcount.yaml"]).read_text())[
        "datasources"
    ]
    host, port = re.fullmatch(r"http://([\w-]+):(\d+)", source["url"]).groups()
    assert published(host) == {port: port}
    (provider,) = yaml.safe_load((ROOT / places[f"{provisioning}/dashboards/wordcount.yaml"]).read_text())[
        "providers"
    ]
    shown = [place for place in places if place.startswith(f"{provider['options']['path']}/")]
    assert [places[place] for place in shown] == ["./helm/wordcount/files/dashboard.json"]
    assert shown == [SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]]
    assert json.loads((ROOT / places[shown[0]]).read_text("utf-8"))["title"]


def test_nothing_in_it_is_secret() -> None:
    for service in SERVICES.values():
        for variable in service.get("environment", {}):
            assert not re.search(r"PASSWORD|SECRET|TOKEN(?!S_FILE)|CREDENTIAL", variable)
            field = Settings.model_fields.get(variable.removeprefix("WORDCOUNT_").lower())
            assert field is None or not is_secret(field)
    assert not COMPOSE.keys() & {"secrets", "configs"}


def test_the_page_that_explains_it_names_ports_and_services_that_exist() -> None:
    page = (ROOT / "docs" / "delivery.md").read_text("utf-8")
    section = page.split("\n## Try it with Compose\n")[1].split("\n## ")[0]
    outside = {port for name in SERVICES for port in published(name)}
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", section)) <= outside
    executed = re.findall(r"docker compose exec (?:-T )?(\S+) wordcount (\w+)", section)
    assert executed
    for service, command in executed:
        assert service in OF_THE_PRODUCT
        assert command_line().get_command(None, command), command
