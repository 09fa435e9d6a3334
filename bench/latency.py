"""The latency from a message to its visible count: p50, p99 and p99.9 at shares of the measured capacity.

Batches that were built before are sent at a steady rate, one to each partition a hundred times a second. The last record of each
batch is a sample. Its time runs from the moment when the batch was due, even if it was sent late, to the answer of `/v1/stats` whose
`as_of` is beyond the record. `/v1/stats` is asked every 20 ms, which adds at most 20 ms; more questions would slow the worker down.
This process sends the load, on the cores of broker and worker.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest

from bench.idle_clock import idle_clocks
from bench.prepared import WORDS_PER_LINE, PreparedLoad, connected, prepared_load, send
from bench.repeated import summed_up
from bench.rig import PARTITIONS, Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import create_topic
from bench.usage import loop_delays, usage_of
from bench.verify import answers_right, stores_right

SHARES = (0.1, 0.5, 0.8)
RUNS = 3
SECONDS = 5.0
WARM_UP_S = 2.0
TICKS_PER_S = 100
ASK_EVERY_S = 0.02
_DRAIN_S = 30.0


@dataclass
class Samples:
    """Batches that are not visible yet, by partition, and the times of the visible ones."""

    awaited: dict[int, deque[tuple[int, float]]] = field(default_factory=dict)
    seen: list[tuple[float, float]] = field(default_factory=list)
    """(when it was due, seconds until it was visible) of each batch."""
    behind: list[tuple[float, float]] = field(default_factory=list)
    """(when the answer came, most seconds that a follower was behind by it) of each answer of followers."""

    def add(self, partition: int, end_offset: int, due: float) -> None:
        """Note that a batch which ends before `end_offset` and was due at `due` is in the log."""
        self.awaited.setdefault(partition, deque()).append((end_offset, due))

    def answered(self, as_of: dict[str, int], now: float) -> None:
        """Note that an answer with these positions came at `now`."""
        for number, position in as_of.items():
            waiting = self.awaited.get(int(number), deque())
            while waiting and waiting[0][0] <= position:
                due = waiting.popleft()[1]
                self.seen.append((due, now - due))

    def forget_before(self, begin: float) -> None:
        """Leave out batches that were due before `begin`, and answers that came before."""
        self.seen = [each for each in self.seen if each[0] >= begin]
        self.behind = [each for each in self.behind if each[0] >= begin]


def measure_latency(rig: Rig, capacity_words_per_s: float) -> list[dict[str, Any]]:
    """Return a result per share of the capacity: medians of the runs' percentiles, and the worst maxima and stalls."""
    return [
        summed_up(
            [_measure(rig, share, capacity_words_per_s * share, number) for number in range(RUNS)],
            listed="p99_ms",
            worst=("max_ms", "loop_stalls", "longest_loop_delay_ms", "machine_delay_ms"),
            added=("samples",),
        )
        for share in SHARES
    ]


def _measure(rig: Rig, share: float, words_per_s: float, number: int) -> dict[str, Any]:
    topic = group = f"latency-{share * 100:.0f}-{number}"
    asyncio.run(create_topic(rig.servers, topic, PARTITIONS))
    load = steady_load(topic, words_per_s)
    gc.collect()
    gc.freeze()
    with rig.worker(topic, group) as worker:
        worker.wait_ready()
        delays = loop_delays(worker.url)
        before = [usage_of(pid) for pid in (worker.pid, rig.broker.pid, os.getpid())]
        with idle_clocks() as machine_delays_s:
            samples, taken = asyncio.run(sampled(rig.servers, worker.url, load))
        after = [usage_of(pid) for pid in (worker.pid, rig.broker.pid, os.getpid())]
        wait_counted(worker, load.sent * load.lines * PARTITIONS)
        stalls, longest_s = loop_delays(worker.url).stalls_since(delays)
        truth = load.truth()
        answered = answers_right(worker, truth)
        stop_cleanly(worker)
    gc.unfreeze()
    seconds = [waited for _, waited in samples.seen]
    p50, p99, p999 = (np.percentile(seconds, [50, 99, 99.9]) * 1000).tolist()
    result = {
        "name": f"latency-{share * 100:.0f}-percent",
        "share_of_capacity": share,
        "words_per_s": round(truth.total() / taken),
        "cores_of_worker_broker_load": [
            round((late - early).cpu_s / taken, 2) for late, early in zip(after, before, strict=True)
        ],
        "samples": len(seconds),
        "p50_ms": round(p50),
        "p99_ms": round(p99),
        "p999_ms": round(p999),
        "max_ms": round(max(seconds) * 1000),
        "loop_stalls": stalls,
        "longest_loop_delay_ms": round(longest_s * 1000, 1),
        "machine_delay_ms": round(max(machine_delays_s) * 1000, 1),
        "verified": answered and stores_right(rig.stores(topic, group), truth),
    }
    print(result, flush=True)
    return result


def steady_load(topic: str, words_per_s: float) -> PreparedLoad:
    """Return the load that `sampled` sends as about `words_per_s` words a second."""
    return prepared_load(
        topic, PARTITIONS, max(1, round(words_per_s / WORDS_PER_LINE / PARTITIONS / TICKS_PER_S))
    )


async def sampled(
    servers: str, url: str, load: PreparedLoad, seconds: float = SECONDS, ask_every_s: float = ASK_EVERY_S
) -> tuple[Samples, float]:
    """Send the load for `WARM_UP_S` and `seconds` while the process at `url` is asked.

    Returns:
        The samples after the warm-up, and the duration of the sending in seconds.
    """
    client, node = await connected(servers)
    samples = Samples()
    asking = asyncio.create_task(_ask(url, samples, ask_every_s))
    try:
        started = time.perf_counter()
        answers: set[asyncio.Task[None]] = set()
        while (now := time.perf_counter()) < started + WARM_UP_S + seconds:
            due = started + load.sent / TICKS_PER_S
            if now < due:
                await asyncio.sleep(due - now)
            task = asyncio.create_task(_send(client, node, load.next(), load.lines, due, samples))
            answers.add(task)
            task.add_done_callback(answers.discard)
        await asyncio.gather(*answers)
        taken = time.perf_counter() - started
        deadline = time.perf_counter() + _DRAIN_S
        while any(samples.awaited.values()) and time.perf_counter() < deadline:
            if asking.done():
                asking.result()
            await asyncio.sleep(ask_every_s)
        samples.forget_before(started + WARM_UP_S)
        return samples, taken
    finally:
        asking.cancel()
        await client.close()


async def _send(
    client: AIOKafkaClient, node: int, request: ProduceRequest, lines: int, due: float, samples: Samples
) -> None:
    for partition, offset in await send(client, node, request):
        samples.add(partition, offset + lines, due)


async def _ask(url: str, samples: Samples, every_s: float) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        while True:
            writer.write(b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = msgspec.json.decode(await reader.readexactly(length))
            now = time.perf_counter()
            samples.answered(body["as_of"], now)
            if behind := body.get("behind"):
                samples.behind.append((now, max(each["seconds"] for each in behind.values())))
            await asyncio.sleep(every_s)
    finally:
        writer.close()
