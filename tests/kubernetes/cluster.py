"""The cluster that `kubectl` points to, and a release of the chart in a namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.integration.worker import ROOT
from tests.policy.conftest import cache_folder, helm_binary

CHART: Final = ROOT / "helm" / "wordcount"
RELEASE: Final = "trial"
NAME: Final = "trial-wordcount"
DEADLINE_S: Final = 240.0
_POLL_S: Final = 0.5


class ClusterError(Exception):
    """The cluster did not do what a scenario needs."""


class Cluster:
    """A namespace under enforced *restricted* with one release of the chart. Everything in it goes at the end of the `with` block.

    Args:
        namespace: name of the namespace, which must not exist.
        folder: folder for values files.
    """

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self._folder = folder
        self._kubectl = os.environ.get("KUBECTL") or shutil.which("kubectl")
        if self._kubectl is None:
            raise SystemExit("no kubectl: put it on the PATH, or name it by KUBECTL")
        self._helm = helm_binary(cache_folder())

    def __enter__(self) -> Cluster:
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        return self

    def __exit__(self, *_: object) -> None:
        # Volumes of a cluster may outlive their claims; the claims are gone with the namespace.
        self.kubectl("delete", "namespace", self.namespace, "--wait=true", "--timeout=120s")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace and return its output. Raises ClusterError if it fails."""
        return _output([str(self._kubectl), "--namespace", self.namespace, *arguments], stdin)

    def helm(self, *arguments: str) -> str:
        """Run helm in the namespace and return its output. Raises ClusterError if it fails."""
        return _output([str(self._helm), *arguments, "--namespace", self.namespace])

    def install(self, values: Mapping[str, Any]) -> float:
        """Install or upgrade the release, and return the seconds until all its pods are ready and up to date."""
        file = self._folder / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        begun_s = time.monotonic()
        self.helm("upgrade", "--install", RELEASE, str(CHART), "--values", str(file))
        self.rolled_out()
        return time.monotonic() - begun_s

    def rolled_out(self) -> None:
        """Wait until all pods of the workers are ready and up to date."""
        self.kubectl("rollout", "status", f"statefulset/{NAME}", f"--timeout={DEADLINE_S:.0f}s")

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return the pods of the workers by name."""
        found = json.loads(
            self.kubectl("get", "pods", "--selector", "app.kubernetes.io/name=wordcount", "--output", "json")
        )
        return {pod["metadata"]["name"]: pod for pod in found["items"]}

    def ready(self) -> set[str]:
        """Return the names of the workers' pods that are ready and not about to end."""
        return {
            name
            for name, pod in self.pods().items()
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in pod["status"].get("conditions", ())
            )
        }

    def killed(self, pod: str) -> None:
        """Kill the processes of a pod at once; its name comes back as another pod."""
        self.kubectl("delete", "pod", pod, "--force", "--grace-period=0")

    def evicted(self, pod: str) -> bool:
        """Ask for the eviction of a pod, as draining a node does; return whether the disruption budget allowed it."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        try:
            self.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(body))
        except ClusterError as error:
            if "disruption budget" not in str(error):
                raise
            return False
        return True

    def versions(self) -> dict[str, str]:
        """Return the version of the server, and the runtime of its first node."""
        server = json.loads(self.kubectl("version", "--output", "json"))["serverVersion"]["gitVersion"]
        nodes = json.loads(self.kubectl("get", "nodes", "--output", "json"))["items"]
        return {
            "kubernetes": server,
            "runtime": nodes[0]["status"]["nodeInfo"]["containerRuntimeVersion"],
            "nodes": str(len(nodes)),
        }


def _output(command: Sequence[str], stdin: str | None = None) -> str:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = DEADLINE_S) -> float:
    """Wait until `condition` holds and return the seconds that it took.

    Raises:
        ClusterError: it did not hold in time.
    """
    begun_s = time.monotonic()
    while not condition():
        if time.monotonic() > begun_s + timeout_s:
            raise ClusterError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(_POLL_S)
    return time.monotonic() - begun_s
