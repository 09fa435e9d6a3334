"""The speed of a restore: rows per second of a worker that lost its state folder, from its start until `/readyz` answers 200.

The changelog is what counting the corpus `distinct` leaves: 5 M words that occur twice each, far apart, in 8 partitions. So nearly
every occurrence has a row of its own.
"""

from __future__ import annotations

import time
from typing import Any

from bench.idle_clock import idle_clocks
from bench.repeated import summed_up
from bench.rig import Rig, stop_cleanly
from bench.topics import LoadedTopic
from bench.usage import loop_delays, peak_rss_mb, samples_of, usage_of
from bench.verify import answers_right, stores_right

RUNS = 3


def measure_restore(rig: Rig, topic: LoadedTopic, group: str) -> dict[str, Any]:
    """Restore the counts of `group` for `topic` several times; no worker of the group may run."""
    runs = [_restored(rig, topic, group) for _ in range(RUNS)]
    return summed_up(
        runs,
        listed="rows_per_s",
        worst=("rss_mb", "loop_stalls", "longest_loop_delay_ms", "machine_delay_ms"),
    )


def _restored(rig: Rig, topic: LoadedTopic, group: str) -> dict[str, Any]:
    rig.forget_state(group)
    changelog_bytes = rig.changelog_bytes(topic.name, group)
    started = time.perf_counter()
    with rig.worker(topic.name, group) as worker:
        with idle_clocks() as machine_delays_s:
            worker.wait_ready()
            seconds = time.perf_counter() - started
        used, rss_mb = usage_of(worker.pid), peak_rss_mb(worker.pid)
        rows = int(samples_of(worker.url)["wordcount_restored_rows_total", ""])
        delays = loop_delays(worker.url)
        answered = answers_right(worker, topic.truth)
        stop_cleanly(worker)
    result = {
        "name": "restore",
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "cpu_s_per_million_rows": round(used.cpu_s / rows * 1e6, 3),
        "changelog_bytes_per_row": round(changelog_bytes / rows, 2),
        "disk_bytes_per_row": round(used.written_bytes / rows, 2),
        "rss_mb": round(rss_mb),
        "loop_stalls": delays.stalls,
        "longest_loop_delay_ms": round(delays.longest_s * 1000, 1),
        "machine_delay_ms": round(max(machine_delays_s) * 1000, 1),
        "verified": answered and stores_right(rig.stores(topic.name, group), topic.truth),
    }
    print(result, flush=True)
    return result
