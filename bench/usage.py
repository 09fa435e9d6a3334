"""The resources that a process has used so far, and the delays of its event loop by its metrics."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

STALL_S = 0.05
"""A delay of the event loop above this bound counts as a stall."""

LOOP_DELAY = "wordcount_event_loop_delay_seconds"
LOOP_DELAY_MAX = "wordcount_event_loop_delay_max_seconds"


@dataclass(frozen=True)
class Usage:
    """CPU seconds (user and system) and bytes handed to the disk, since the start of the process."""

    cpu_s: float
    written_bytes: int

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(self.cpu_s - earlier.cpu_s, self.written_bytes - earlier.written_bytes)


@dataclass(frozen=True)
class LoopDelays:
    """Delays of a worker's event loop since its start.

    Attributes:
        buckets: upper bound in seconds -> number of delays up to that bound.
        longest_s: the longest delay in seconds.
    """

    buckets: dict[float, int]
    longest_s: float

    @property
    def stalls(self) -> int:
        """Delays over `STALL_S`."""
        return self.buckets[float("inf")] - self.buckets[STALL_S]

    def stalls_since(self, earlier: LoopDelays) -> tuple[int, float]:
        """Return (number of delays over `STALL_S`, longest delay in seconds) since `earlier`.

        If a delay before `earlier` was longer, only the bucket of the longest delay since then is known; its upper bound is returned.
        """
        new = {bound: count - earlier.buckets[bound] for bound, count in self.buckets.items()}
        total = new[float("inf")]
        if self.longest_s > earlier.longest_s:
            longest_s = self.longest_s
        else:
            longest_s = min(bound for bound, count in new.items() if count == total)
        return total - new[STALL_S], min(longest_s, self.longest_s)


def usage_of(pid: int) -> Usage:
    """Return what the process has used so far."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    return Usage(times.user + times.system, process.io_counters().write_bytes)


def peak_rss_mb(pid: int) -> float:
    """Return the largest resident memory of the process so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmHWM in /proc: this benchmark needs Linux")


def samples_of(url: str) -> dict[tuple[str, str], float]:
    """Return (name, bound of the bucket or "") -> value of the metrics of the worker at `url`."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def loop_delays(url: str) -> LoopDelays:
    """Return the delays of the event loop of the worker at `url`."""
    samples = samples_of(url)
    buckets = {
        float(bound): int(value) for (name, bound), value in samples.items() if name == f"{LOOP_DELAY}_bucket"
    }
    return LoopDelays(buckets, samples[LOOP_DELAY_MAX, ""])
