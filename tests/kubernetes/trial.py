"""The program of `make kubernetes`: the chart on a real cluster, with every count compared and every answer accounted for.

The cluster is the one that `kubectl` points to. A broker runs on this machine, at the address HOST, which the pods of the cluster have
to reach: the gateway of their network. IMAGE is an image of this checkout that the nodes have. Everything is made in one namespace of
its own, which goes at the end. The result is written to `bench/results/kubernetes.json`, and the exit code is 1 if anything is not as
docs/kubernetes.md promises.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.machine import commit, machine
from bench.results import FOLDER, read, write
from tests.integration.worker import ROOT
from tests.kubernetes import scenarios
from tests.kubernetes.cluster import Cluster, ClusterError
from tests.kubernetes.feeding import PROFILE, Feeding
from tests.kubernetes.promises import broken_promises
from tests.kubernetes.scenarios import WORKERS, Trial

RESULT: Final = FOLDER / "kubernetes.json"
GROUP: Final = "trial"


def read_result() -> dict[str, Any]:
    """Return the committed result."""
    return read(RESULT)


def main() -> None:
    """Run all scenarios; exit with an error if a promise is broken."""
    host = os.environ.get("HOST") or ""
    image = os.environ.get("IMAGE") or "localhost/wordcount:local"
    if not host:
        raise SystemExit(
            "HOST is not set: name the address of this machine that pods reach, such as the gateway of their network"
        )
    if ":" not in image.rpartition("/")[2]:
        raise SystemExit(f"IMAGE is {image}: name a repository and a tag, such as localhost/wordcount:local")
    begun_s, name = time.monotonic(), f"wordcount-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        with Feeding(host, folder, name, GROUP) as feeding, Cluster(name, folder) as cluster:
            trial = Trial(cluster, feeding, _values(feeding.servers, name, image), image)
            report: dict[str, Any] = {
                "commit": commit(),
                "command": "make kubernetes",
                "machine": machine(),
                "cluster": cluster.versions(),
                "workers": WORKERS,
            }
            try:
                _run(trial)
            except (ClusterError, RuntimeError):
                print(cluster.kubectl("get", "pods,events", "--output", "wide"), file=sys.stderr)
                raise
    report |= {"seconds": round(time.monotonic() - begun_s), "scenarios": trial.results}
    write(RESULT, report)
    if broken := broken_promises(report):
        raise SystemExit("\n".join(broken))
    print(f"all promises are kept: {RESULT.relative_to(ROOT)}")


def _run(trial: Trial) -> None:
    trial.run(scenarios.install, asks=False)
    trial.run(scenarios.helm_test, asks=False)
    for scenario in (
        scenarios.rolling_restart,
        scenarios.upgrade,
        scenarios.eviction,
        scenarios.killed,
        scenarios.state_lost,
        scenarios.broker_away,
        scenarios.scaled,
    ):
        trial.run(scenario)
    trial.run(scenarios.views, asks=False)
    trial.run(scenarios.rolling_restart, through="views")


def _values(servers: str, topic: str, image: str) -> dict[str, Any]:
    repository, _, tag = image.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag},
        "replicas": WORKERS,
        "settings": {
            "bootstrap_servers": servers,
            "topic": topic,
            "group": GROUP,
            "profile": PROFILE,
            "standbys": 1,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "persistence": {"size": "100Mi"},
    }


if __name__ == "__main__":
    main()
