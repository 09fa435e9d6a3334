"""The latency of `GET /v1/words/{word}`: of an idle worker, and of a worker that catches up at full speed.

A process of its own, on the worker's cores, sends a request every 5 ms over one connection. The time runs from just before a request
is sent until its answer is read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from bench.asking import asking, percentiles
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
            **percentiles(loaded),
            "words_per_s": round(words_per_s),
            "loop_stalls": stalls,
            "longest_loop_delay_ms": round(longest_s * 1000, 1),
            "verified": verified,
        },
        {"name": "http-idle", **percentiles(idle), "verified": verified},
    )


@contextmanager
def _client(url: str, taken: list[float]) -> Iterator[None]:
    """Ask while the context is open; then add the seconds of each answer to `taken`."""
    answer: dict[str, Any] = {}
    with asking([url], [f"/v1/words/{quote(word)}" for word in vocabulary(_WORDS)], EVERY_S, answer):
        yield
    if answer["refused"]:
        raise SystemExit(f"the worker refused {answer['refused']} requests")
    taken += answer["taken"]
