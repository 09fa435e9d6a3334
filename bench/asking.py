"""Clients that ask workers while something is measured, and the summary of the time that the answers took."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def asking(
    urls: Sequence[str],
    paths: Sequence[str],
    every_s: float,
    answer: dict[str, Any],
) -> Iterator[None]:
    """Run `bench.http_client` while the context is open; then put what it prints into `answer`.

    Args:
        urls: workers; each request goes to one that chance chooses.
        paths: resources; each request asks for one that chance chooses.
        every_s: seconds from one request to the next.
        answer: see `bench.http_client`.
    """
    with running_client("bench.http_client", {"urls": urls, "paths": paths, "every_s": every_s}, answer):
        yield


@contextmanager
def running_client(module: str, order: Mapping[str, Any], answer: dict[str, Any]) -> Iterator[None]:
    """Run `module` with `order` as its input while the context is open; then put the JSON that it prints into `answer`."""
    with subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        client.stdin.write(json.dumps(order) + "\n")
        client.stdin.flush()
        try:
            yield
        finally:
            output, _ = client.communicate()
    answer.update(json.loads(output))


def percentiles(seconds: Sequence[float]) -> dict[str, Any]:
    """Return number, median, 99th percentile and maximum of the times, in milliseconds."""
    p50, p99 = (np.percentile(seconds, [50, 99]) * 1000).tolist()
    return {
        "requests": len(seconds),
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(seconds) * 1000, 1),
    }
