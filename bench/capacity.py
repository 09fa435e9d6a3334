"""The worked example of `docs/capacity.md`: what a load needs, by the page's formulas and measured figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UTILISATION = 0.6
"""Share of the measured rate that a plan may use; the rest is kept for catching up, rebalances and other programs."""

CORES_PER_WORKER = 2
"""Cores that one worker process can use: its event loop and two flush threads, which release the GIL most of the time."""

COUNTING_CASE = "zipf-30m-whitespace"


@dataclass(frozen=True)
class Load:
    """A load that a deployment has to count.

    Attributes:
        messages_per_s, words_per_message: rate and size of messages, over all partitions together.
        distinct_words: distinct words that ever occur.
        partitions: number of partitions of the topic.
        spread: share of the partitions in which a word occurs, on average.
    """

    messages_per_s: float
    words_per_message: float
    distinct_words: float
    partitions: int
    spread: float

    @property
    def words_per_s(self) -> float:
        """Words per second of all partitions together."""
        return self.messages_per_s * self.words_per_message

    @property
    def rows(self) -> float:
        """Rows in all stores together."""
        return self.distinct_words * self.partitions * self.spread


EXAMPLE = Load(1_000_000, 10, 10_000_000, 64, 0.25)


def capacity_table(report: Mapping[str, Any], load: Load = EXAMPLE) -> str:
    """Return the worked example as a table with a row per formula."""
    case = next(case for case in report["cases"] if case["name"] == COUNTING_CASE)
    restore = report["restore"]
    words_m = load.words_per_s / 1e6
    worker_cores = words_m * case["cpu_s_per_million_words"] / UTILISATION
    broker_cores = words_m * case["broker_cpu_s_per_million_words"] / UTILISATION
    workers = max(
        math.ceil(worker_cores / CORES_PER_WORKER),
        math.ceil(load.words_per_s / (case["words_per_s"] * UTILISATION)),
    )
    changelog = load.words_per_s * case["changelog_bytes_per_word"]
    disk = load.words_per_s * case["disk_bytes_per_word"]
    stored_gb = load.rows * restore["disk_bytes_per_row"] / 1e9
    rows_of_one = load.rows / workers
    rows = [
        ("Words/s", "messages/s × words per message", f"{words_m:.0f} M"),
        (
            "Cores for workers",
            "M words/s × CPU-s per M words / utilisation",
            f"{words_m:.0f} × {case['cpu_s_per_million_words']:.2f} / {UTILISATION} = {worker_cores:.1f}",
        ),
        (
            "Cores for brokers, on top of what producers and replicas cost them",
            "the same with the broker's CPU-s",
            f"{words_m:.0f} × {case['broker_cpu_s_per_million_words']:.2f} / {UTILISATION} = {broker_cores:.1f}",
        ),
        (
            "Workers",
            f"the larger of: cores / {CORES_PER_WORKER}; words/s / (measured words/s × utilisation)",
            f"{workers}, with {load.partitions / workers:.0f} of {load.partitions} partitions each",
        ),
        (
            "Memory",
            "workers × peak of one",
            f"{workers} × {case['rss_mb']} MiB = {workers * case['rss_mb'] / 1024:.1f} GiB",
        ),
        (
            "Rows stored",
            "distinct words × partitions × spread",
            f"{load.distinct_words / 1e6:.0f} M × {load.partitions} × {load.spread} = {load.rows / 1e6:.0f} M",
        ),
        (
            "Disk, all workers",
            "rows × bytes a row, twice for compaction",
            f"2 × {stored_gb:.1f} GB",
        ),
        (
            "Changelog written, before replication",
            "words/s × changelog bytes a word",
            f"{changelog / 1e6:.0f} MB/s",
        ),
        ("Disk written, all workers", "words/s × disk bytes a word", f"{disk / 1e6:.0f} MB/s"),
        (
            "Restore of one worker with an empty folder",
            "its rows / rows per second, after compaction of the changelog",
            f"{rows_of_one / 1e6:.0f} M / {restore['rows_per_s'] / 1e6:.2f} M = {rows_of_one / restore['rows_per_s']:.0f} s",
        ),
    ]
    return "\n".join(
        ["| What | Formula | Example |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    )
