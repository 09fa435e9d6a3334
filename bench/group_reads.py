"""The latency of answers of three workers that ask each other: idle, and while they catch up together at full speed.

Clients ask one of the workers at a time, whichever chance chooses; two thirds of an answer come from the other workers. Idle, the
workers have 3 M distinct words. Each kind of question has one client. Workers, broker and clients share the machine's cores.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

from app.local.worker import LocalWorker
from bench.asking import asking, percentiles
from bench.corpus import vocabulary
from bench.repeated import summed_up
from bench.rig import PARTITIONS, Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import LoadedTopic
from bench.verify import answers_right

WORKERS = 3
RUNS = 3
IDLE_LINES = 1_200_000
"""Lines of ten words with 3 M distinct words."""

BUSY_LINES = 6_000_000
IDLE_S = 5.0
_READY_S = 120.0
_WORDS = 2_000

QUESTIONS: Mapping[str, tuple[Sequence[str], float]] = {
    "word": ([f"/v1/words/{quote(word)}" for word in vocabulary(_WORDS)], 0.01),
    "top 100": (["/v1/top?k=100"], 0.05),
    "list 100": ([f"/v1/words?limit=100&prefix={quote(word)}" for word in vocabulary(_WORDS)[:200]], 0.05),
}
"""By kind of question: paths, and seconds from one request to the next."""


def measure_group_reads(rig: Rig) -> list[dict[str, Any]]:
    """Return a result per kind of question, of idle workers and of workers that catch up."""
    idle, busy = rig.topic("long-tail", IDLE_LINES), rig.topic("zipf", BUSY_LINES)
    results = []
    for name, topic in (("idle", idle), ("catching up", busy)):
        runs = [
            _measure(rig, topic, f"group-{name.replace(' ', '-')}-{number}", name) for number in range(RUNS)
        ]
        results += [
            summed_up(list(same), listed="p99_ms", worst=("max_ms",), added=("requests", "refused"))
            for same in zip(*runs, strict=True)
        ]
    print(*results, sep="\n", flush=True)
    return results


def _measure(rig: Rig, topic: LoadedTopic, group: str, name: str) -> list[dict[str, Any]]:
    answers: dict[str, dict[str, Any]] = {kind: {} for kind in QUESTIONS}
    with ExitStack() as running:
        workers = [running.enter_context(rig.worker(topic.name, group, number=i)) for i in range(WORKERS)]
        _wait_joined(workers)
        urls = [worker.url for worker in workers]
        if name == "idle":
            wait_counted(workers[0], topic.records)
            words_per_s = 0.0
            for kind, (paths, every_s) in QUESTIONS.items():
                with asking(urls, paths, every_s, answers[kind]):
                    time.sleep(IDLE_S)
        else:
            counted, started = workers[0].ask("/v1/stats")["words"], time.perf_counter()
            with ExitStack() as clients:
                for kind, (paths, every_s) in QUESTIONS.items():
                    clients.enter_context(asking(urls, paths, every_s, answers[kind]))
                wait_counted(workers[0], topic.records)
                words_per_s = (topic.words - counted) / (time.perf_counter() - started)
        verified = all(answers_right(worker, topic.truth) for worker in workers)
        for worker in workers:
            stop_cleanly(worker)
    for number in range(WORKERS):
        rig.forget_state(group, number)
    return [
        {
            "name": f"group-{kind.replace(' ', '-')}",
            "load": name,
            **percentiles(answers[kind]["taken"]),
            "refused": answers[kind]["refused"],
            "proven": answers[kind]["proven"],
            "words_per_s": round(words_per_s),
            "verified": verified,
        }
        for kind in QUESTIONS
    ]


def _wait_joined(workers: Sequence[LocalWorker]) -> None:
    """Return when the workers share all partitions and answer for all of them."""
    deadline = time.monotonic() + _READY_S
    for worker in workers:
        worker.wait_ready()
    while not all(_has_joined(worker) for worker in workers):
        if time.monotonic() > deadline:
            raise SystemExit("the workers do not share the partitions")
        time.sleep(0.05)


def _has_joined(worker: LocalWorker) -> bool:
    if worker.status("/v1/stats") != 200 or worker.status("/readyz") != 200:
        return False
    active = [len(each["active"]) for each in worker.ask("/v1/assignments")["workers"]]
    return len(active) == WORKERS and sum(active) == PARTITIONS and max(active) - min(active) <= 1
