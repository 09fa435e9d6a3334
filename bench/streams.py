"""What a thousand clients of `/v1/stream` cost a worker, and how far they are behind.

A worker counts, with and without clients in turn: two million words a second for a while, and then more than it can count, so that its
rate is its capacity. The clients ask ten different questions with the interval that a stream has if nothing is said. Broker, worker,
load and clients share the cores.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from app.local.worker import LocalWorker
from bench.asking import running_client
from bench.corpus import vocabulary
from bench.latency import sampled, steady_load
from bench.rig import PARTITIONS, Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import create_topic
from bench.usage import peak_rss_mb, samples_of, usage_of
from bench.verify import answers_right, stores_right

CLIENTS = 1_000
RUNS = 3
INTERVAL_S = 1.0
STEADY_WORDS_PER_S, STEADY_S = 2_000_000, 15.0
FULL_WORDS_PER_S, FULL_S = 8_000_000, 5.0
"""More than a worker counts on two cores; what it has not counted when the sending ends, it counts then."""

_CONNECT_S = 60.0
_ASK_EVERY_S = 0.2
"""How often the load asks for what is visible: as often as somebody who watches a dashboard, and not as often as for a latency."""


def measure_streams(rig: Rig) -> list[dict[str, Any]]:
    """Return a result per load, each with and without clients."""
    loads = {"steady": (STEADY_WORDS_PER_S, STEADY_S), "full": (FULL_WORDS_PER_S, FULL_S)}
    results = []
    for name, (words_per_s, seconds) in loads.items():
        runs: dict[int, list[dict[str, Any]]] = {0: [], CLIENTS: []}
        for number in range(RUNS):
            for clients, measured in runs.items():
                measured.append(
                    _measure(rig, f"streams-{name}-{clients}-{number}", words_per_s, seconds, clients)
                )
        results.append(_compared(name, runs[0], runs[CLIENTS]))
        print(results[-1], flush=True)
    return results


def questions() -> list[str]:
    """Return the different questions that the clients ask."""
    words = vocabulary(8)
    return [
        f"word={words[0]}",
        f"word={words[7]}",
        "&".join(f"word={word}" for word in words[1:6]),
        f"prefix={words[6]}",
        f"prefix={words[7]}&limit=50",
        f"prefix={words[5]}&limit=10",
        "top=1",
        "top=10",
        "top=50",
        "top=100",
    ]


def _measure(rig: Rig, group: str, words_per_s: float, seconds: float, clients: int) -> dict[str, Any]:
    topic = group
    asyncio.run(create_topic(rig.servers, topic, PARTITIONS))
    load = steady_load(topic, words_per_s)
    gc.collect()
    gc.freeze()
    further = {"WORDCOUNT_STREAM_CLIENTS": str(CLIENTS)}
    told: dict[str, Any] = {}
    with rig.worker(topic, group, further=further) as worker:
        worker.wait_ready()
        with _clients(worker, clients, told):
            before, started = usage_of(worker.pid), time.perf_counter()
            samples, _ = asyncio.run(
                sampled(rig.servers, worker.url, load, seconds, ask_every_s=_ASK_EVERY_S)
            )
            wait_counted(worker, load.sent * load.lines * PARTITIONS)
            taken = time.perf_counter() - started
            used = usage_of(worker.pid) - before
        rss_mb = peak_rss_mb(worker.pid)
        truth = load.truth()
        answered = answers_right(worker, truth)
        stop_cleanly(worker)
    gc.unfreeze()
    result = {
        "words_per_s": truth.total() / taken,
        "worker_cores": used.cpu_s / taken,
        "rss_mb": rss_mb,
        "visible_p99_s": float(np.percentile([waited for _, waited in samples.seen], 99)),
        "told": told,
        "verified": answered and stores_right(rig.stores(topic, group), truth),
    }
    print(
        group, {name: value for name, value in result.items() if name != "told"}, _summary([told]), flush=True
    )
    return result


@contextmanager
def _clients(worker: LocalWorker, clients: int, told: dict[str, Any]) -> Iterator[None]:
    """Let `clients` listen while the context is open; then put what they tell into `told`."""
    if not clients:
        yield
        return
    paths = [f"/v1/stream?{question}" for question in questions()]
    order = {"url": worker.url, "paths": paths, "clients": clients}
    with running_client("bench.stream_crowd", order, told):
        deadline = time.perf_counter() + _CONNECT_S
        while samples_of(worker.url)["wordcount_stream_clients", ""] < clients:
            if time.perf_counter() > deadline:
                raise SystemExit(f"not {clients} clients within {_CONNECT_S:g} s; see {worker.log_path}")
            time.sleep(0.1)
        yield
        time.sleep(2 * INTERVAL_S)


def _compared(name: str, without: list[dict[str, Any]], listening: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians of the runs with and without clients, and the longest time that a client was behind."""

    def median(runs: list[dict[str, Any]], figure: str) -> float:
        return statistics.median(run[figure] for run in runs)

    return {
        "name": name,
        "clients": CLIENTS,
        "questions": len(questions()),
        "interval_ms": round(INTERVAL_S * 1000),
        "words_per_s_without": round(median(without, "words_per_s")),
        "words_per_s": round(median(listening, "words_per_s")),
        "share_of_rate_without": round(median(listening, "words_per_s") / median(without, "words_per_s"), 3),
        "worker_cores_without": round(median(without, "worker_cores"), 2),
        "worker_cores": round(median(listening, "worker_cores"), 2),
        "rss_mb_without": round(median(without, "rss_mb")),
        "rss_mb": round(median(listening, "rss_mb")),
        "visible_p99_ms_without": round(median(without, "visible_p99_s") * 1000),
        "visible_p99_ms": round(median(listening, "visible_p99_s") * 1000),
        **_summary([run["told"] for run in listening]),
        "runs_words_per_s_without": [round(run["words_per_s"]) for run in without],
        "runs_words_per_s": [round(run["words_per_s"]) for run in listening],
        "verified": all(run["verified"] for run in (*without, *listening)),
    }


def _summary(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how far the clients of all runs were behind, and what they were refused."""
    behind = [seconds for run in told for seconds in run.get("behind", ())]
    if not behind:
        return {}
    p50, p99 = (np.percentile(behind, [50, 99]) * 1000).tolist()
    return {
        "events": len(behind),
        "behind_p50_ms": round(p50),
        "behind_p99_ms": round(p99),
        "behind_max_ms": round(max(run["longest_s"] for run in told) * 1000),
        "unavailable": sum(run["unavailable"] for run in told),
        "closed": sum(run["closed"] for run in told),
    }
