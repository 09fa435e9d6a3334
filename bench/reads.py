"""The latency of reads of a worker with 5 M distinct words that counts at full speed: with few clients, and in a crowd of clients.

The second half of the topic has the words of the first half. The clock runs from the moment when half of the records are counted
until all are counted. Quiet: one client for each kind of question. Crowd: in addition 50 clients that ask for top words without a
pause, 1,000 connections that send nothing, and 100 connections that never end a request. Both are measured with the machine's limit
of open files, and with a limit of 1,024.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

from bench.asking import asking, percentiles, running_client
from bench.corpus import vocabulary
from bench.hot_path import WORKLOADS, leaders_share
from bench.repeated import summed_up
from bench.rig import Rig, stop_cleanly
from bench.throughput import wait_answering, wait_counted
from bench.topics import LoadedTopic
from bench.usage import loop_delays
from bench.verify import answers_right, stores_right

LINES = 2_000_000
"""Number of lines of ten words. The first half of the lines has 5 M distinct words, and the second half has the same words again."""

RUNS = 2
FILES = (None, 1024)
"""Limits of open files: None = the machine's own limit; 1,024 is a common limit."""

LEAST_S = 5.0
"""Shortest time that clients ask, even if all records are counted earlier."""

CROWD = {"tops": 50, "idle": 1_000, "slow": 100}
_GATHERING_S = 2.0
"""Time after which all clients of the crowd are connected."""

_WORDS = 2_000
_MEASURED_SHARE = 0.5
"""Share of the lines that is counted before the clients begin."""

QUESTIONS: Mapping[str, tuple[Sequence[str], float]] = {
    "top 10": (["/v1/top?k=10"], 0.05),
    "top 100": (["/v1/top?k=100"], 0.05),
    "word": ([f"/v1/words/{quote(word)}" for word in vocabulary(_WORDS)], 0.02),
    "list": ([f"/v1/words?limit=100&prefix={quote(word)}" for word in vocabulary(_WORDS)[:200]], 0.05),
}
"""By kind of question: paths, and seconds from one request to the next."""


def measure_reads(rig: Rig) -> list[dict[str, Any]]:
    """Return a result per kind of question, per limit of files, with and without a crowd; each has the leaders' share of a flush."""
    topic = rig.topic("long-tail", LINES)
    share = max(leaders_share(name) for name in WORKLOADS)
    results = []
    for files in FILES:
        for crowd in (False, True):
            runs = [
                _measure(rig, topic, f"reads-{files}-{crowd}-{number}", files, crowd=crowd)
                for number in range(RUNS)
            ]
            results += [
                {**summed_up(list(same), listed="p99_ms", worst=("max_ms",), added=("requests", "refused"))}
                for same in zip(*runs, strict=True)
            ]
    for result in results:
        result["leaders_share_of_flush"] = round(share, 4)
    print(*results, sep="\n", flush=True)
    return results


def _measure(
    rig: Rig, topic: LoadedTopic, group: str, files: int | None, *, crowd: bool
) -> list[dict[str, Any]]:
    with rig.worker(topic.name, group) as worker:
        if files is not None:
            resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (files, files))
        wait_answering(worker)
        wait_counted(worker, round(topic.records * _MEASURED_SHARE))
        delays, started = loop_delays(worker.url), time.perf_counter()
        counted = worker.ask("/v1/stats", allow_partial="true")["words"]
        answers: dict[str, dict[str, Any]] = {}
        with ExitStack() as clients:
            if crowd:
                clients.enter_context(running_client("bench.http_crowd", {"url": worker.url, **CROWD}, {}))
                time.sleep(_GATHERING_S)
            for kind, (paths, every_s) in QUESTIONS.items():
                clients.enter_context(asking([worker.url], paths, every_s, answers.setdefault(kind, {})))
            wait_counted(worker, topic.records)
            counting_s = time.perf_counter() - started
            time.sleep(max(0.0, LEAST_S - counting_s))
        words_per_s = (topic.words - counted) / counting_s
        stalls, longest_s = loop_delays(worker.url).stalls_since(delays)
        answered = answers_right(worker, topic.truth)
        stop_cleanly(worker)
    verified = answered and stores_right(rig.stores(topic.name, group), topic.truth)
    rig.forget_state(group)
    return [
        {
            "name": f"reads-{kind.replace(' ', '-')}",
            "crowd": "crowd" if crowd else "quiet",
            "files": "as it is" if files is None else f"{files:,}",
            **percentiles(answers[kind]["taken"]),
            "refused": answers[kind]["refused"],
            "proven": answers[kind]["proven"],
            "words_per_s": round(words_per_s),
            "loop_stalls": stalls,
            "longest_loop_delay_ms": round(longest_s * 1000, 1),
            "verified": verified,
        }
        for kind in QUESTIONS
    ]
