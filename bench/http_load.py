"""The latency of `GET /v1/words/{word}`: of an idle worker, and of a worker that catches up at full speed.

A process of its own, on the worker's cores, sends a request every 5 ms over one connection. The time runs from just before a request
is sent until its answer is read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import numpy as np

from bench.corpus import vocabulary
from bench.repeated import summed_up
from bench.rig import Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import LoadedTopic
from bench.usage import loop_delays
from bench.verify import answers_right, stores_right

EVERY_S = 0.005
IDLE_S = 3.0
RUNS = 3
LINES = 3_000_000
_WORDS = 2_000


def measure_http(rig: Rig) -> list[dict[str, Any]]:
    """Measure a worker while it catches up, and then idle; return medians of percentiles, and the worst maxima and stalls."""
    topic = rig.topic("zipf", LINES)
    runs = [_measure(rig, topic, f"http-{number}") for number in range(RUNS)]
    worst = ("max_ms", "loop_stalls", "longest_loop_delay_ms")
    results = [
        summed_up([run[place] for run in runs], listed="p99_ms", worst=worst, added=("requests",))
        for place in (0, 1)
    ]
    print(*results, sep="\n", flush=True)
    return results


def _measure(rig: Rig, topic: LoadedTopic, group: str) -> tuple[dict[str, Any], dict[str, Any]]:
    loaded: list[float] = []
    idle: list[float] = []
    with rig.worker(topic.name, group) as worker:
        worker.wait_ready()
        delays = loop_delays(worker.url)
        started = time.perf_counter()
        with _client(worker.url, loaded):
            wait_counted(worker, topic.records)
        words_per_s = topic.words / (time.perf_counter() - started)
        stalls, longest_s = loop_delays(worker.url).stalls_since(delays)
        with _client(worker.url, idle):
            time.sleep(IDLE_S)
        answered = answers_right(worker, topic.truth)
        stop_cleanly(worker)
    verified = answered and stores_right(rig.stores(topic.name, group), topic.truth)
    rig.forget_state(group)
    return (
        {
            "name": "http-catching-up",
            **_percentiles(loaded),
            "words_per_s": round(words_per_s),
            "loop_stalls": stalls,
            "longest_loop_delay_ms": round(longest_s * 1000, 1),
            "verified": verified,
        },
        {"name": "http-idle", **_percentiles(idle), "verified": verified},
    )


@contextmanager
def _client(url: str, taken: list[float]) -> Iterator[None]:
    """Ask while the context is open; then add the seconds of each answer to `taken`."""
    paths = [f"/v1/words/{quote(word)}" for word in vocabulary(_WORDS)]
    order = {"url": url, "paths": paths, "every_s": EVERY_S}
    with subprocess.Popen(
        [sys.executable, "-m", "bench.http_client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        client.stdin.write(json.dumps(order) + "\n")
        client.stdin.flush()
        try:
            yield
        finally:
            output, _ = client.communicate()
    answer = json.loads(output)
    if answer["refused"]:
        raise SystemExit(f"the worker refused {answer['refused']} requests")
    taken += answer["taken"]


def _percentiles(seconds: list[float]) -> dict[str, Any]:
    p50, p99 = (np.percentile(seconds, [50, 99]) * 1000).tolist()
    return {
        "requests": len(seconds),
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(seconds) * 1000, 1),
    }
