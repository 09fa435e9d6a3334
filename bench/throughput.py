"""The throughput of one worker: words per second from a backlog, with changelog and RocksDB, and with every count verified.

The clock runs from the first answer of `/v1/stats`, which comes when the first partition begins to count, until `/v1/stats` shows
every record counted, durable and queryable. Words that were counted before the first answer are left out. CPU time and bytes are
those of the worker alone in that interval; resident memory is the peak of the worker's whole life.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx

from app.local.worker import LocalWorker
from bench.idle_clock import idle_clocks
from bench.rig import Rig, stop_cleanly
from bench.topics import LoadedTopic
from bench.usage import loop_delays, peak_rss_mb, usage_of
from bench.verify import answers_right, stores_right

TIMEOUT_S = 300.0
_ASK_EVERY_S = 0.01
_ASK_AT_MOST_S = 0.25


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        name: name in the result file.
        corpus: name in `bench.corpus.CORPORA`.
        lines: number of records in the topic.
        profile: profile of the tokeniser.
    """

    name: str
    corpus: str
    lines: int
    profile: str


RUNS = 5
"""Number of runs of each case; their median is reported."""

CASES = (
    Case("zipf-10m-whitespace", "zipf", 1_000_000, "whitespace"),
    Case("hot-word-10m-whitespace", "hot-word", 1_000_000, "whitespace"),
    Case("zipf-30m-whitespace", "zipf", 3_000_000, "whitespace"),
    Case("zipf-10m-unicode", "zipf", 1_000_000, "unicode"),
    Case("zipf-10m-java-s", "zipf", 1_000_000, "java-s"),
    Case("natural-10m-unicode", "natural", 1_450_000, "unicode"),
    Case("long-lines-10m-whitespace", "long-lines", 67_000, "whitespace"),
    Case("one-word-5m-whitespace", "one-word", 5_000_000, "whitespace"),
    Case("distinct-5m", "distinct", 1_000_000, "whitespace"),
)


@dataclass(frozen=True)
class Run:
    """What one run of a worker took to count `words` words; `changelog_bytes` is the size of the whole changelog."""

    words: int
    seconds: float
    cpu_s: float
    broker_cpu_s: float
    rss_mb: float
    written_bytes: int
    changelog_bytes: int
    stalls: int
    longest_delay_s: float
    machine_delay_s: float
    verified: bool

    @property
    def words_per_s(self) -> float:
        """Words per second."""
        return self.words / self.seconds

    @property
    def cpu_s_per_million_words(self) -> float:
        """CPU seconds of the worker per million words."""
        return self.cpu_s / self.words * 1e6


def measure(
    rig: Rig, topic: LoadedTopic, group: str, profile: str, further: Mapping[str, str] = MappingProxyType({})
) -> Run:
    """Start a worker with a new group and state folder, let it count the whole topic, stop it, and verify its counts.

    `further` are settings beside the usual ones.
    """
    with rig.worker(topic.name, group, profile, further=further) as worker:
        with idle_clocks() as machine_delays_s:
            words_before = wait_answering(worker)
            started = time.perf_counter()
            worker_before, broker_before = usage_of(worker.pid), usage_of(rig.broker.pid)
            delays_before = loop_delays(worker.url)
            wait_counted(worker, topic.records)
            seconds = time.perf_counter() - started
            used = usage_of(worker.pid) - worker_before
            broker_used = usage_of(rig.broker.pid) - broker_before
            stalls, longest_delay_s = loop_delays(worker.url).stalls_since(delays_before)
        rss_mb = peak_rss_mb(worker.pid)
        answered = answers_right(worker, topic.truth)
        stop_cleanly(worker)
    return Run(
        words=topic.words - words_before,
        seconds=seconds,
        cpu_s=used.cpu_s,
        broker_cpu_s=broker_used.cpu_s,
        rss_mb=rss_mb,
        written_bytes=used.written_bytes,
        changelog_bytes=rig.changelog_bytes(topic.name, group),
        stalls=stalls,
        longest_delay_s=longest_delay_s,
        machine_delay_s=max(machine_delays_s),
        verified=answered and stores_right(rig.stores(topic.name, group), topic.truth),
    )


def wait_answering(worker: LocalWorker) -> int:
    """Wait until a partition counts, and return the number of words that are counted by then."""
    deadline = time.perf_counter() + TIMEOUT_S
    while worker.status("/v1/stats?allow_partial=true") != httpx.codes.OK:
        worker.check_alive()
        if time.perf_counter() > deadline:
            raise SystemExit(f"no partition counts within {TIMEOUT_S:g} s; see {worker.log_path}")
        time.sleep(_ASK_EVERY_S)
    words: int = worker.ask("/v1/stats", allow_partial="true")["words"]
    return words


def wait_counted(worker: LocalWorker, records: int) -> None:
    """Return when `worker` shows `records` records, whichever workers have counted them. End the benchmark after `TIMEOUT_S`.

    Questions slow a worker down. So the worker is asked seldom at first, and more often towards the end that the rate so far
    predicts.
    """
    started = time.perf_counter()
    counted = first = _records(worker)
    while counted < records:
        took_s = time.perf_counter() - started
        if took_s > TIMEOUT_S:
            raise SystemExit(f"{records:,} records are not counted within {TIMEOUT_S:g} s")
        expected_s = took_s * (records - counted) / max(1, counted - first)
        time.sleep(min(max(expected_s / 10, _ASK_EVERY_S), _ASK_AT_MOST_S))
        counted = _records(worker)


def _records(worker: LocalWorker) -> int:
    # Some partitions may not count yet when the clock begins.
    records: int = worker.ask("/v1/stats", allow_partial="true")["records"]
    return records


def measure_cases(rig: Rig, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Measure and print all runs of `cases`; return a summary per case for the result file.

    The cases take turns, so that some slow minutes of the machine affect all cases, which stay comparable.
    """
    topics = {case: rig.topic(case.corpus, case.lines, case.profile) for case in cases}
    runs: dict[Case, list[Run]] = {case: [] for case in cases}
    for number in range(RUNS):
        for case in cases:
            run = measure(rig, topics[case], group(case, number), case.profile)
            print(f"{case.name} run {number + 1}: {run.words_per_s / 1e6:.2f} M words/s, {run}", flush=True)
            runs[case].append(run)
    return [summary(case, topics[case], runs[case]) for case in cases]


def group(case: Case, number: int) -> str:
    """Return the consumer group of a run."""
    return f"{case.name}-{number}"


def summary(case: Case, topic: LoadedTopic, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the medians of the runs, every run's rate, and the worst delays."""
    rates = [run.words_per_s for run in runs]
    cpu = [run.cpu_s_per_million_words for run in runs]
    broker_cpu = [run.broker_cpu_s / run.words * 1e6 for run in runs]
    return {
        "name": case.name,
        "words": topic.words,
        "words_per_s": round(statistics.median(rates)),
        "cpu_s_per_million_words": round(statistics.median(cpu), 3),
        "broker_cpu_s_per_million_words": round(statistics.median(broker_cpu), 3),
        "records_per_s": round(statistics.median(rates) * topic.records / topic.words),
        "rss_mb": round(max(run.rss_mb for run in runs)),
        "verified": all(run.verified for run in runs),
        "corpus": case.corpus,
        "profile": case.profile,
        "distinct_words": len(topic.truth),
        "changelog_bytes_per_word": round(
            statistics.median(run.changelog_bytes / topic.words for run in runs), 3
        ),
        "disk_bytes_per_word": round(statistics.median(run.written_bytes / run.words for run in runs), 3),
        "loop_stalls": max(run.stalls for run in runs),
        "longest_loop_delay_ms": round(max(run.longest_delay_s for run in runs) * 1000, 1),
        "machine_delay_ms": round(max(run.machine_delay_s for run in runs) * 1000, 1),
        "runs_words_per_s": [round(rate) for rate in rates],
        "runs_cpu_s_per_million_words": [round(each, 3) for each in cpu],
    }
