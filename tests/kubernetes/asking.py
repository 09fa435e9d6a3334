"""A pod that asks a Service for a word, again and again, with a connection for each question, and accounts for every answer."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from tests.kubernetes.cluster import Cluster, ClusterError, wait_for

SCRIPT: Final = """
import collections, http.client, json, os, time

host, port = os.environ["ASKED"].split(":")
told, seen = collections.Counter(), time.monotonic()
while True:
    try:
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/v1/words/w1")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200:
            told["whole" if json.loads(body)["complete"] else "partial"] += 1
        else:
            told[str(answer.status)] += 1
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        told[type(error).__name__] += 1
    if time.monotonic() > seen + 0.5:
        seen = time.monotonic()
        print(json.dumps(told), flush=True)
    time.sleep(0.02)
"""


class Asking:
    """A pod that asks `service`, from the start of the `with` block to its end.

    Args:
        cluster: where it runs.
        image: image with Python.
        service: name of the Service.

    Attributes:
        told: outcome -> number of answers: `whole`, `partial`, a status other than 200, or the name of an error of the connection.
    """

    def __init__(self, cluster: Cluster, image: str, service: str) -> None:
        self._cluster = cluster
        self._image = image
        self._service = service
        self._pod = f"asking-{service}"
        self.told: Counter[str] = Counter()

    def __enter__(self) -> Asking:
        self._cluster.kubectl("apply", "--filename", "-", stdin=json.dumps(self._manifest()))
        wait_for(self._has_answers, "the pod that asks has an answer")
        return self

    def __exit__(self, *_: object) -> None:
        self.told = self._heard()
        self._cluster.kubectl("delete", "pod", self._pod, "--force", "--grace-period=0")

    def _has_answers(self) -> bool:
        try:
            return self._heard().total() > 0
        except ClusterError:
            return False  # The container is still being created.

    def _heard(self) -> Counter[str]:
        """Return what the pod has told last. Raise ClusterError without a pod, ValueError if the script has failed."""
        lines = self._cluster.kubectl("logs", self._pod, "--tail=1").splitlines()
        return Counter(json.loads(lines[-1])) if lines else Counter()

    def _manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self._pod},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "asking",
                        "image": self._image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python", "-c", SCRIPT],
                        "env": [{"name": "ASKED", "value": f"{self._service}:8080"}],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        }
