"""Scenarios: each does one thing to a release of the chart while lines are sent and a pod asks, and says how it went."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.kubernetes.asking import Asking
from tests.kubernetes.cluster import NAME, RELEASE, Cluster, wait_for
from tests.kubernetes.feeding import Feeding

WORKERS: Final = 3
READS_THROUGH: Final = {"service": NAME, "views": f"{NAME}-view"}


@dataclass
class Trial:
    """A release under trial.

    Attributes:
        cluster: where it runs.
        feeding: the broker and the lines.
        values: values of the chart.
        image: image of workers, with repository and tag.
        results: results of the scenarios so far.
    """

    cluster: Cluster
    feeding: Feeding
    values: dict[str, Any]
    image: str
    results: list[dict[str, Any]] = field(default_factory=list)

    def run(
        self, scenario: Callable[[Trial], Mapping[str, Any]], *, through: str = "service", asks: bool = True
    ) -> None:
        """Run one scenario with load and questions, compare all counts afterwards, and keep and print the result."""
        self.feeding.start()
        time.sleep(2)
        if asks:
            with Asking(self.cluster, self.image, READS_THROUGH[through]) as asking:
                found = dict(scenario(self))
                time.sleep(5)
            found["reads"] = dict(sorted(asking.told.items()))
        else:
            found = dict(scenario(self))
        compared = self.feeding.compared()
        result = {"name": scenario.__name__, "through": through if asks else None, **found, **compared}
        print(json.dumps(result), flush=True)
        self.results.append(result)


def install(trial: Trial) -> dict[str, Any]:
    """Install the chart, and wait until all workers are ready."""
    return {"ready_s": round(trial.cluster.install(trial.values), 1)}


def helm_test(trial: Trial) -> dict[str, Any]:
    """Run `helm test`, whose word is one more line."""
    trial.cluster.helm("test", RELEASE)
    trial.feeding.lines += 1
    return {}


def rolling_restart(trial: Trial) -> dict[str, Any]:
    """Restart all workers one after the other."""
    begun_s = time.monotonic()
    trial.cluster.kubectl("rollout", "restart", f"statefulset/{NAME}")
    trial.cluster.rolled_out()
    return {"seconds": round(time.monotonic() - begun_s, 1)}


def upgrade(trial: Trial) -> dict[str, Any]:
    """Change a setting by an upgrade, which restarts all workers one after the other."""
    settings = {**trial.values["settings"], "flush_interval_ms": 200}
    return {"seconds": round(trial.cluster.install({**trial.values, "settings": settings}), 1)}


def eviction(trial: Trial) -> dict[str, Any]:
    """Evict one worker and at once another one, as draining two nodes does: the budget has to refuse the second."""
    first, second, *_ = sorted(trial.cluster.ready())
    allowed = [trial.cluster.evicted(first), trial.cluster.evicted(second)]
    waited_s = wait_for(lambda: len(trial.cluster.ready()) == WORKERS, "the evicted worker is back")
    return {"allowed": allowed, "seconds": round(waited_s, 1)}


def killed(trial: Trial) -> dict[str, Any]:
    """Kill each worker at once, one after the other is back."""
    begun_s = time.monotonic()
    for pod in sorted(trial.cluster.ready()):
        trial.cluster.killed(pod)
        wait_for(lambda: len(trial.cluster.ready()) == WORKERS, f"{pod} is back")
    return {"kills": WORKERS, "seconds": round(time.monotonic() - begun_s, 1)}


def state_lost(trial: Trial) -> dict[str, Any]:
    """Empty the volume of a worker and kill it: it has to read its counts from the changelog."""
    pod = min(trial.cluster.ready())
    trial.cluster.kubectl("exec", pod, "--", "sh", "-c", "rm -rf /var/lib/wordcount/*")
    trial.cluster.killed(pod)
    waited_s = wait_for(lambda: len(trial.cluster.ready()) == WORKERS, f"{pod} is back")
    return {"seconds": round(waited_s, 1)}


def broker_away(trial: Trial) -> dict[str, Any]:
    """Let the broker answer nobody for 20 seconds."""
    trial.feeding.hang(20)
    waited_s = wait_for(lambda: len(trial.cluster.ready()) == WORKERS, "all workers are ready")
    return {"seconds": round(waited_s, 1)}


def scaled(trial: Trial) -> dict[str, Any]:
    """Scale the workers from three to one, to three and to two, and back."""
    begun_s = time.monotonic()
    for replicas in (1, 3, 2, WORKERS):
        trial.cluster.kubectl("scale", f"statefulset/{NAME}", f"--replicas={replicas}")
        wait_for(
            lambda replicas=replicas: len(trial.cluster.ready()) == len(trial.cluster.pods()) == replicas,  # type: ignore[misc]
            f"there are {replicas} workers",
        )
    return {"seconds": round(time.monotonic() - begun_s, 1)}


def views(trial: Trial) -> dict[str, Any]:
    """Install two views."""
    trial.values["views"] = {"replicas": 2, "resources": trial.values["resources"]}
    trial.cluster.install(trial.values)
    trial.cluster.kubectl("rollout", "status", f"deployment/{NAME}-view", "--timeout=120s")
    return {}
