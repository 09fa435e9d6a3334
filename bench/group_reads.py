"""The latency of answers of three workers that ask each other: idle, and while they catch up together at full speed.

Clients ask one of the workers at a time, whichever chance chooses; two thirds of an answer come from the other workers. Each kind of
question has one client. Workers, broker and clients share the machine's cores. Idle, the workers have 3 M distinct words. Catching up,
they share an empty topic, which gets a backlog in a few seconds; the clients begin when the whole backlog is in the topic. The time
that the workers need to notice that they are asked is measured too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from app.local.worker import LocalWorker
from bench.asking import asking, percentiles
from bench.corpus import vocabulary
from bench.prepared import WORDS_PER_LINE, PreparedLoad, connected, prepared_load, send
from bench.repeated import summed_up
from bench.rig import PARTITIONS, Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import LoadedTopic, create_topic
from bench.verify import answers_right

WORKERS = 3
RUNS = 3
IDLE_LINES = 1_200_000
"""Lines of ten words with 3 M distinct words."""

BACKLOG_WORDS = 200_000_000
IDLE_S = 5.0
_BATCH_LINES = 5_000
_REQUESTS_UNDER_WAY = 4
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
    topic = rig.topic("long-tail", IDLE_LINES)
    found = []
    for runs in (
        [_idle(rig, topic, f"group-idle-{number}") for number in range(RUNS)],
        [_catching_up(rig, f"group-catching-up-{number}") for number in range(RUNS)],
    ):
        found += [
            summed_up(list(same), listed="p99_ms", worst=("max_ms",), added=("requests", "refused"))
            for same in zip(*runs, strict=True)
        ]
    print(*found, sep="\n", flush=True)
    return found


def _idle(rig: Rig, topic: LoadedTopic, group: str) -> list[dict[str, Any]]:
    answers = _no_answers()
    with _workers(rig, topic.name, group) as workers:
        _wait_joined(workers)
        wait_counted(workers[0], topic.records)
        for kind, (paths, every_s) in QUESTIONS.items():
            with asking([worker.url for worker in workers], paths, every_s, answers[kind]):
                time.sleep(IDLE_S)
        verified = all(answers_right(worker, topic.truth) for worker in workers)
    return _results(answers, load="idle", words_per_s=0.0, verified=verified)


def _catching_up(rig: Rig, group: str) -> list[dict[str, Any]]:
    topic, answers = group, _no_answers()
    asyncio.run(create_topic(rig.servers, topic, PARTITIONS))
    load = prepared_load(topic, PARTITIONS, _BATCH_LINES)
    request_words = PARTITIONS * _BATCH_LINES * WORDS_PER_LINE
    with _workers(rig, topic, group) as workers:
        asyncio.run(_append(rig.servers, load, 1))
        _wait_joined(workers)
        asyncio.run(_append(rig.servers, load, BACKLOG_WORDS // request_words))
        with ExitStack() as clients:
            for kind, (paths, every_s) in QUESTIONS.items():
                clients.enter_context(
                    asking([worker.url for worker in workers], paths, every_s, answers[kind])
                )
            counted, started = _words_counted(workers[0]), time.perf_counter()
            wait_counted(workers[0], load.sent * load.lines * PARTITIONS)
            truth = load.truth()
            words_per_s = (truth.total() - counted) / (time.perf_counter() - started)
        verified = all(answers_right(worker, truth) for worker in workers)
    return _results(answers, load="catching up", words_per_s=words_per_s, verified=verified)


@contextmanager
def _workers(rig: Rig, topic: str, group: str) -> Iterator[Sequence[LocalWorker]]:
    """Run the workers while the context is open; then stop them, and remove their state."""
    with ExitStack() as running:
        workers = [running.enter_context(rig.worker(topic, group, number=i)) for i in range(WORKERS)]
        yield workers
        for worker in workers:
            stop_cleanly(worker)
    for number in range(WORKERS):
        rig.forget_state(group, number)


async def _append(servers: str, load: PreparedLoad, requests: int) -> None:
    """Send the next `requests` requests of `load` as fast as the broker takes them."""
    client, node = await connected(servers)
    under_way: set[asyncio.Task[Any]] = set()
    for _ in range(requests):
        if len(under_way) >= _REQUESTS_UNDER_WAY:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        under_way.add(asyncio.create_task(send(client, node, load.next())))
    await asyncio.gather(*under_way)
    await client.close()


def _words_counted(worker: LocalWorker) -> int:
    """Return how many words are counted. At full speed and not asked yet, workers may answer too late, and are asked again."""
    deadline = time.monotonic() + _READY_S
    while worker.status("/v1/stats") != httpx.codes.OK:
        if time.monotonic() > deadline:
            raise SystemExit(f"the workers do not answer while they count; see {worker.log_path}")
    words: int = worker.ask("/v1/stats")["words"]
    return words


def _no_answers() -> dict[str, dict[str, Any]]:
    return {kind: {} for kind in QUESTIONS}


def _results(
    answers: Mapping[str, Mapping[str, Any]], *, load: str, words_per_s: float, verified: bool
) -> list[dict[str, Any]]:
    return [
        {
            "name": f"group-{kind.replace(' ', '-')}",
            "load": load,
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
