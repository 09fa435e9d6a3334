"""How fast a view follows: rows per second of a view without state, and its delay behind a worker that counts half its capacity.

The rows are those that `bench.restoring` restores: nearly every one is a different word of its partition. The delay is measured as
`bench.latency` measures that of a worker; only the answers come from the view. Broker, worker, view and load share the cores.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import numpy as np

from bench.latency import sampled, steady_load
from bench.repeated import summed_up
from bench.rig import PARTITIONS, Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import LoadedTopic, create_topic
from bench.usage import loop_delays, peak_rss_mb, usage_of
from bench.verify import answers_right

RUNS = 3
SHARE = 0.5
"""Share of the capacity at which the worker counts."""


def measure_catching_up(rig: Rig, topic: LoadedTopic, group: str, rows: int) -> dict[str, Any]:
    """Start views without state several times, and measure how fast they read the `rows` rows of the changelog of `group`."""
    runs = [_caught_up(rig, topic, group, rows) for _ in range(RUNS)]
    return summed_up(runs, listed="rows_per_s", worst=("rss_mb", "loop_stalls", "longest_loop_delay_ms"))


def measure_following(rig: Rig, capacity_words_per_s: float) -> dict[str, Any]:
    """Measure how far a view is behind a worker that counts `SHARE` of its capacity."""
    runs = [_followed(rig, capacity_words_per_s * SHARE, number) for number in range(RUNS)]
    return summed_up(
        runs,
        listed="p99_ms",
        worst=("max_ms", "behind_max_s", "loop_stalls", "longest_loop_delay_ms"),
        added=("samples",),
    )


def _caught_up(rig: Rig, topic: LoadedTopic, group: str, rows: int) -> dict[str, Any]:
    started = time.perf_counter()
    with rig.view(topic.name, group) as view:
        view.wait_ready()
        seconds = time.perf_counter() - started
        used, rss_mb, delays = usage_of(view.pid), peak_rss_mb(view.pid), loop_delays(view.url)
        verified = answers_right(view, topic.truth)
    result = {
        "name": "view-catches-up",
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "cpu_s_per_million_rows": round(used.cpu_s / rows * 1e6, 3),
        "rss_mb": round(rss_mb),
        "loop_stalls": delays.stalls,
        "longest_loop_delay_ms": round(delays.longest_s * 1000, 1),
        "verified": verified,
    }
    print(result, flush=True)
    return result


def _followed(rig: Rig, words_per_s: float, number: int) -> dict[str, Any]:
    topic = group = f"followed-{number}"
    asyncio.run(create_topic(rig.servers, topic, PARTITIONS))
    load = steady_load(topic, words_per_s)
    gc.collect()
    gc.freeze()
    with rig.worker(topic, group) as worker, rig.view(topic, group) as view:
        worker.wait_ready()
        view.wait_ready()
        before, delays = [usage_of(pid) for pid in (worker.pid, view.pid)], loop_delays(view.url)
        samples, taken = asyncio.run(sampled(rig.servers, view.url, load))
        used = [usage_of(pid) - early for pid, early in zip((worker.pid, view.pid), before, strict=True)]
        wait_counted(view, load.sent * load.lines * PARTITIONS)
        stalls, longest_s = loop_delays(view.url).stalls_since(delays)
        truth = load.truth()
        verified = answers_right(worker, truth) and answers_right(view, truth)
        stop_cleanly(worker)
    gc.unfreeze()
    p50, p99, longest = (np.percentile([waited for _, waited in samples.seen], [50, 99, 100]) * 1000).tolist()
    behind = [seconds for _, seconds in samples.behind]
    result = {
        "name": "view-follows",
        "share_of_capacity": SHARE,
        "words_per_s": round(truth.total() / taken),
        "cores_of_worker_view": [round(each.cpu_s / taken, 2) for each in used],
        "samples": len(samples.seen),
        "p50_ms": round(p50),
        "p99_ms": round(p99),
        "max_ms": round(longest),
        "behind_p99_s": round(float(np.percentile(behind, 99)), 2),
        "behind_max_s": round(max(behind), 2),
        "loop_stalls": stalls,
        "longest_loop_delay_ms": round(longest_s * 1000, 1),
        "verified": verified,
    }
    print(result, flush=True)
    return result
