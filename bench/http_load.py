"""How long `GET /v1/words/{word}` takes, of a worker that is idle and of one that catches up at full speed.

A request every 5 ms over one connection, from a process of its own on the same cores; from before it is sent until it is read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from bench.corpus import vocabulary
from bench.rig import Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.usage import loop_delays
from bench.verify import answers_right, stores_right

EVERY_S = 0.005
IDLE_S = 10.0
RUNS = 2
LINES = 3_000_000
_WORDS = 2_000


def measure_http(rig: Rig) -> list[dict[str, Any]]:
    """A result for each of: while it catches up (of all runs together), then idle (after the last of them)."""
    topic = rig.topic("zipf", LINES)
    loaded: list[float] = []
    idle: list[float] = []
    rates, stalls, longest_s, verified = [], 0, 0.0, True
    for number in range(RUNS):
        group = f"http-{number}"
        with rig.worker(topic.name, group) as worker:
            worker.wait_ready()
            delays = loop_delays(worker.url)
            started = time.perf_counter()
            with _client(worker.url, loaded):
                wait_counted([worker], topic.records)
            rates.append(topic.words / (time.perf_counter() - started))
            found, longest = loop_delays(worker.url).stalls_since(delays)
            stalls, longest_s = stalls + found, max(longest_s, longest)
            if number == RUNS - 1:
                with _client(worker.url, idle):
                    time.sleep(IDLE_S)
            answered = answers_right(worker, topic.truth)
            stop_cleanly(worker)
        verified = verified and answered and stores_right(rig.stores(topic.name, group), topic.truth)
        rig.forget_state(group)
    results = [
        {
            "name": "http-catching-up",
            **_percentiles(loaded),
            "words_per_s": round(float(np.median(rates))),
            "loop_stalls": stalls,
            "longest_loop_delay_ms": round(longest_s * 1000, 1),
            "verified": verified,
        },
        {"name": "http-idle", **_percentiles(idle), "verified": verified},
    ]
    print(*results, sep="\n", flush=True)
    return results


@contextmanager
def _client(url: str, taken: list[float]) -> Iterator[None]:
    """Asks as long as the context is open; then the seconds of each answer are added to `taken`."""
    order = {"url": url, "words": vocabulary(_WORDS), "every_s": EVERY_S}
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
    taken += json.loads(output)


def _percentiles(seconds: list[float]) -> dict[str, Any]:
    p50, p99 = (np.percentile(seconds, [50, 99]) * 1000).tolist()
    return {
        "requests": len(seconds),
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(seconds) * 1000, 1),
    }
