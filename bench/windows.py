"""The cost of windows: a worker counts one topic without windows, with windows of a minute, and with a minute and an hour.

The three take turns on the same topic, whose records are 100,000 per second of event time, so that their ratios are comparable. Every
count of every window is compared with the truth, in the stores.
"""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rocksdict import Cache

from bench.corpus import zipf_lines
from bench.event_time import RECORDS_PER_S, START_MS, EventTime
from bench.rig import PARTITIONS, Rig
from bench.throughput import Run, measure
from bench.topics import LoadedTopic, load_topic
from tables.model.rows import unpack_row
from tables.model.windows import END_OF_PANES, FIRST_PANE_KEY, pane_of
from tables.store.partition_store import PartitionStore

LINES = 3_000_000
RUNS = 5
"""Number of runs with each setting; their medians are reported."""

WINDOWS = ("", "1m", "1m,1h")
"""Values of WORDCOUNT_WINDOWS."""

_CACHE_BYTES = 8 << 20

WindowCounts = Mapping[tuple[int, int], Counter[bytes]]
"""Counts of words by size in seconds and start in seconds since 1970."""


@dataclass(frozen=True)
class TimedTopic(LoadedTopic):
    """A topic whose records have event times.

    Attributes:
        windows: the true counts by window.
    """

    windows: WindowCounts


def measure_windows(rig: Rig) -> list[dict[str, Any]]:
    """Measure and print all runs; return a summary per setting for the result file."""
    topic = load_timed(rig, LINES, RECORDS_PER_S)
    runs: dict[str, list[Run]] = {windows: [] for windows in WINDOWS}
    for number in range(RUNS):
        for windows in WINDOWS:
            group = f"windows-{WINDOWS.index(windows)}-{number}"
            settings = {"WORDCOUNT_WINDOWS": windows, "WORDCOUNT_RETENTION": "366d"}
            run = measure(rig, topic, group, "whitespace", settings)
            right = windows_right(rig.stores(topic.name, group), topic, windows)
            print(
                f"windows {windows!r} run {number + 1}: {run.words_per_s / 1e6:.2f} M words/s, {run}",
                flush=True,
            )
            if not right:
                raise SystemExit(f"counts of windows {windows} are wrong")
            runs[windows].append(run)
    return [summary(windows, runs) for windows in WINDOWS]


def load_timed(rig: Rig, lines: int, records_per_s: float) -> TimedTopic:
    """Load a topic with `lines` lines of ten words, `records_per_s` records per second of event time."""
    time = EventTime(lines, records_per_s)
    chunks = time.counted(zipf_lines(lines))
    name = f"timed-{lines}-{records_per_s:.0f}"
    loaded = asyncio.run(load_topic(rig.servers, name, chunks, PARTITIONS, time_ms=time.time_ms))
    by_window: dict[tuple[int, int], Counter[bytes]] = {}
    for start_ms, counts in time.by_window.items():
        for size_s in (60, 3600):
            start_s = start_ms // 1000 // size_s * size_s
            by_window.setdefault((size_s, start_s), Counter()).update(counts)
    assert min(by_window)[1] * 1000 == START_MS
    return TimedTopic(loaded.name, loaded.records, loaded.truth, by_window)


def windows_right(folders: Sequence[Path], topic: TimedTopic, windows: str) -> bool:
    """Return whether the stores in `folders` have the true counts of all windows of these sizes, and no others."""
    sizes = {60} if windows == "1m" else {60, 3600} if windows else set()
    return counts_by_window(folders) == {
        pane: counts for pane, counts in topic.windows.items() if pane[0] in sizes
    }


def counts_by_window(folders: Sequence[Path]) -> WindowCounts:
    """Return the sums of all windows over the stores in `folders`. No process may have the stores open."""
    found: dict[tuple[int, int], Counter[bytes]] = {}
    for folder in folders:
        store = PartitionStore(folder, Cache(_CACHE_BYTES))
        try:
            for rows in store.slices(FIRST_PANE_KEY, END_OF_PANES):
                for key, row in rows:
                    pane, word = pane_of(key)
                    if pane.epoch is None:
                        found.setdefault((pane.size_s, pane.start_s), Counter())[word] += unpack_row(row)[0]
        finally:
            store.close()
    return found


def summary(windows: str, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return the medians of the runs with one setting, and their ratio to those without windows."""
    rates = [run.words_per_s for run in runs[windows]]
    median = partial(statistics.median)
    return {
        "windows": windows,
        "words_per_s": round(median(rates)),
        "share_of_rate_without": round(median(rates) / median([run.words_per_s for run in runs[""]]), 3),
        "cpu_s_per_million_words": round(median([run.cpu_s_per_million_words for run in runs[windows]]), 3),
        "broker_cpu_s_per_million_words": round(
            median([run.broker_cpu_s / run.words * 1e6 for run in runs[windows]]), 3
        ),
        "changelog_bytes_per_word": round(
            median([run.changelog_bytes / run.words for run in runs[windows]]), 3
        ),
        "disk_bytes_per_word": round(median([run.written_bytes / run.words for run in runs[windows]]), 3),
        "rss_mb": round(max(run.rss_mb for run in runs[windows])),
        "verified": all(run.verified for run in runs[windows]),
        "runs_words_per_s": [round(rate) for rate in rates],
    }
