"""The benchmark of growth: speed and cost for growing loads. `python -m bench.growth [PART ...]` writes `bench/results/growth.json`.

Parts: number of `distinct` words, of `partitions`, of words per `line`, of `workers` of one group on this machine; and the `expiry` of
windows. Each point is one run, with every count verified. A measured point at once replaces the former point of that value in the
file; other points stay.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from app.local.worker import LocalWorker
from bench.corpus import distinct_lines, zipf_lines
from bench.expiry import CLEANING_BROKER, measure_expiry
from bench.machine import commit, machine, versions
from bench.prepared import PreparedLoad, connected, prepared_load, send
from bench.results import GROWTH, read, write
from bench.rig import PARTITIONS, Rig, running_rig, stop_cleanly
from bench.throughput import measure, wait_counted
from bench.topics import LoadedTopic, create_topic, load_topic
from bench.usage import peak_rss_mb, usage_of
from bench.verify import newest, stores_right

WORDS = 10_000_000
DISTINCT = (100_000, 1_000_000, 4_000_000, 10_000_000)
PARTITION_COUNTS = (1, 8, 64, 256)
WORDS_PER_LINE = (1, 10, 100, 1000)
WORKERS = (1, 2)
_REQUESTS = 375
"""Number of requests, each with 8 batches of 1,000 lines: 30 M words in all."""

_KINDS = 75
"""Number of different requests: 6 M words, each sent five times."""

_BROKERS = {"expiry": CLEANING_BROKER}
"""By part, settings of its broker that differ from those of the other parts."""

_IN_FLIGHT = 4
_READY_S = 60.0


def main(names: Sequence[str]) -> None:
    """Measure the named parts, or all parts if none is named."""
    if unknown := set(names) - set(PARTS):
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    verified = True
    measured = commit()  # Read before the first point is written, which would mark the checkout as changed.
    for name in names or PARTS:
        with running_rig(_BROKERS.get(name)) as rig:
            for point in PARTS[name](rig):
                print(f"{name}: {point}", flush=True)
                _keep(name, point, measured)
                verified = verified and point["verified"]
    if not verified:
        raise SystemExit("a run counted wrong")


def _keep(name: str, point: dict[str, Any], measured: str) -> None:
    """Put a point into the file, in place of an earlier point with that value."""
    parts = read(GROWTH).get("parts", {})
    others = [each for each in parts.get(name, {}).get("points", ()) if each["value"] != point["value"]]
    points = sorted([*others, point], key=lambda each: each["value"])
    parts[name] = {"commit": measured, "points": points}
    report = {"machine": machine(), "versions": versions(), "command": "make bench-growth", "parts": parts}
    write(GROWTH, report)


def _distinct(rig: Rig) -> Iterator[dict[str, Any]]:
    for number in DISTINCT:
        chunks = distinct_lines(WORDS // 10, number)
        yield _point(
            rig, number, asyncio.run(load_topic(rig.servers, f"distinct-{number}", chunks, PARTITIONS))
        )


def _partitions(rig: Rig) -> Iterator[dict[str, Any]]:
    for number in PARTITION_COUNTS:
        chunks = zipf_lines(WORDS // 10)
        yield _point(
            rig, number, asyncio.run(load_topic(rig.servers, f"partitions-{number}", chunks, number))
        )


def _line(rig: Rig) -> Iterator[dict[str, Any]]:
    for number in WORDS_PER_LINE:
        # With one word per message half of the words have to do, because loading them takes longer than counting them.
        chunks = zipf_lines(WORDS // number // (2 if number == 1 else 1), number)
        yield _point(rig, number, asyncio.run(load_topic(rig.servers, f"line-{number}", chunks, PARTITIONS)))


def _point(rig: Rig, value: int, topic: LoadedTopic) -> dict[str, Any]:
    run = measure(rig, topic, f"{topic.name}-group", "whitespace")
    words = topic.words
    return {
        "value": value,
        "words": words,
        "words_per_s": round(run.words_per_s),
        "cpu_s_per_million_words": round(run.cpu_s_per_million_words, 3),
        "rss_mb": round(run.rss_mb),
        "changelog_bytes_per_word": round(run.changelog_bytes / words, 2),
        "disk_bytes_per_word": round(run.written_bytes / run.words, 2),
        "longest_loop_delay_ms": round(run.longest_delay_s * 1000, 1),
        "verified": run.verified,
    }


def _workers(rig: Rig) -> Iterator[dict[str, Any]]:
    for number in WORKERS:
        yield _several(rig, number)


def _several(rig: Rig, count: int) -> dict[str, Any]:
    """Measure `count` workers that share a topic; the topic is filled when all workers have their partitions."""
    topic = group = f"workers-{count}"
    asyncio.run(create_topic(rig.servers, topic, PARTITIONS))
    load = prepared_load(topic, PARTITIONS, 1000, _KINDS)
    with ExitStack() as running:
        workers = [running.enter_context(rig.worker(topic, group, number=i)) for i in range(count)]
        _wait_shared(workers, PARTITIONS // count)
        before = [usage_of(worker.pid) for worker in workers]
        started = time.perf_counter()
        asyncio.run(_fill(rig.servers, load))
        wait_counted(workers[0], load.sent * load.lines * PARTITIONS)
        seconds = time.perf_counter() - started
        used = [usage_of(worker.pid) - usage for worker, usage in zip(workers, before, strict=True)]
        rss_mb = [peak_rss_mb(worker.pid) for worker in workers]
        for worker in workers:
            stop_cleanly(worker)
    truth = load.truth()
    stores = [folder for i in range(count) for folder in rig.stores(topic, group, i)]
    return {
        "value": count,
        "words": truth.total(),
        "words_per_s": round(truth.total() / seconds),
        "cpu_s_per_million_words": round(sum(usage.cpu_s for usage in used) / truth.total() * 1e6, 3),
        "rss_mb": round(sum(rss_mb)),
        "verified": stores_right(newest(stores), truth),
    }


def _wait_shared(workers: Sequence[LocalWorker], partitions: int) -> None:
    deadline = time.monotonic() + _READY_S
    for worker in workers:
        worker.wait_ready()
    while any(_owned(worker) != partitions for worker in workers):
        if time.monotonic() > deadline:
            raise SystemExit("the workers do not share the partitions")
        time.sleep(0.05)
    for worker in workers:
        worker.wait_ready()


def _owned(worker: LocalWorker) -> int:
    """Return the number of partitions that a worker itself has."""
    (here,) = [each for each in worker.ask("/v1/assignments")["workers"] if each["here"]]
    return len(here["active"])


async def _fill(servers: str, load: PreparedLoad) -> None:
    client, node = await connected(servers)
    turns = asyncio.Semaphore(_IN_FLIGHT)

    async def one() -> None:
        async with turns:
            await send(client, node, load.next())

    try:
        await asyncio.gather(*(one() for _ in range(_REQUESTS)))
    finally:
        await client.close()


PARTS: Mapping[str, Callable[[Rig], Iterator[dict[str, Any]]]] = {
    "distinct": _distinct,
    "partitions": _partitions,
    "line": _line,
    "workers": _workers,
    "expiry": measure_expiry,
}


if __name__ == "__main__":
    main(sys.argv[1:])
