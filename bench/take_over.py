"""The time in which a standby takes over from an owner that was killed: from the decision of the group until it counts again.

The partition has a million distinct words. A worker counts it, another one follows it, and the first gets SIGKILL. The time begins
when the group shows the other worker alone and settled. It ends when that worker answers as the owner, which it does from when it
counts. Then the first record is waited for that was sent after the kill.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from app.config.loading import load_settings
from app.kafka.admin import open_admin
from app.local.worker import LocalWorker
from bench.corpus import distinct_lines
from bench.repeated import summed_up
from bench.rig import Rig, stop_cleanly
from bench.throughput import wait_counted
from bench.topics import LoadedTopic, load_topic
from bench.usage import samples_of
from bench.verify import answers_right, stores_right

RUNS = 3
LINES = 200_000
"""Lines of ten words with 1 M distinct words."""

TOPIC = "taken-over"
LINE = b"sent after the kill"
DEADLINE_S = 60.0
_ASK_EVERY_S = 0.01
_FOLLOWED_S = 60.0


@dataclass(frozen=True)
class TakeOver:
    """What the take-over of a partition took.

    Attributes:
        noticed_s: seconds from the kill until the group had given the partition to the standby.
        counting_s: seconds from then until the standby counted: until it answered as the owner.
        counted_s: seconds from then until an answer covered a record that was sent after the kill.
        unanswered_s: the longest time between two answers of the standby, from the kill on.
        rows_restored: changelog rows that the standby restored before it counted.
    """

    noticed_s: float
    counting_s: float
    counted_s: float
    unanswered_s: float
    rows_restored: int


async def take_over(servers: str, topic: str, group: str, standby: str, kill: Callable[[], None]) -> TakeOver:
    """Kill the owner of the only partition of `topic`, send `LINE`, and return when the standby has counted that record.

    Args:
        servers: bootstrap servers.
        topic: input topic.
        group: group of the two workers.
        standby: URL of the worker that follows the partition.
        kill: ends the owner.
    """
    async with (
        AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer,
        httpx.AsyncClient(base_url=standby, trust_env=False, timeout=10.0) as client,
        asyncio.timeout(DEADLINE_S),
    ):
        killed_s = time.perf_counter()
        kill()
        sent = await producer.send_and_wait(topic, LINE, partition=0)
        settled = asyncio.create_task(_settled(servers, group))
        try:
            pauses, last_s, counting_s, position = [0.0], killed_s, None, 0
            while position <= sent.offset:
                await asyncio.sleep(_ASK_EVERY_S)
                answer = await client.get("/v1/stats")
                if answer.status_code != httpx.codes.OK:
                    continue
                pauses.append(time.perf_counter() - last_s)
                last_s += pauses[-1]
                if answer.json()["served_by"]["0"] == "active":
                    counting_s, position = counting_s or last_s, answer.json()["as_of"]["0"]
            settled_s = await settled
        finally:
            settled.cancel()
    rows = int(samples_of(standby)["wordcount_restored_rows_total", ""])
    assert counting_s is not None
    # The group is asked from time to time, so that the standby may be seen to count first.
    counting_s, counted_s = max(0.0, counting_s - settled_s), last_s - settled_s
    return TakeOver(settled_s - killed_s, counting_s, counted_s, max(pauses), rows)


async def _settled(servers: str, group: str) -> float:
    """Return the time at which the group shows one member that has its assignment."""
    async with open_admin(load_settings(bootstrap_servers=servers)) as admin:
        while True:
            state, members = await admin.described_group(group)
            if state == "Stable" and len(members) == 1:
                return time.perf_counter()
            await asyncio.sleep(_ASK_EVERY_S)


def measure_take_over(rig: Rig) -> dict[str, Any]:
    """Kill an owner several times, each time of a new group that has counted the whole topic."""
    topic = asyncio.run(load_topic(rig.servers, TOPIC, distinct_lines(LINES), partitions=1))
    runs = [_measured(rig, topic, number) for number in range(RUNS)]
    return summed_up(runs, listed="counting_s", worst=("unanswered_s", "rows_restored"))


def _measured(rig: Rig, topic: LoadedTopic, number: int) -> dict[str, Any]:
    """Measure once; `number` of former runs have each added `LINE` to the topic."""
    group = f"{TOPIC}-{number}"
    with rig.worker(TOPIC, group, number=1) as first, rig.worker(TOPIC, group, number=2) as second:
        for worker in (first, second):
            worker.wait_ready()
        wait_counted(first, topic.records + number)
        is_first = "0" in _here(first)["active"]
        owner, standby = (first, second) if is_first else (second, first)
        _wait_followed(standby)
        taken = asyncio.run(take_over(rig.servers, TOPIC, group, standby.url, partial(_kill, owner.pid)))
        truth = topic.truth + Counter(LINE.split() * (number + 1))
        answered = answers_right(standby, truth)
        stop_cleanly(standby)
    stores = rig.stores(TOPIC, group, 2 if is_first else 1)
    result = {
        "name": "take-over",
        "rows": len(truth),
        **{name: round(value, 3) for name, value in asdict(taken).items()},
        "verified": answered and stores_right(stores, truth),
    }
    print(result, flush=True)
    return result


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _here(worker: LocalWorker) -> dict[str, Any]:
    """Return what a worker tells of its own partitions."""
    here: dict[str, Any] = next(each for each in worker.ask("/v1/assignments")["workers"] if each["here"])
    return here


def _wait_followed(standby: LocalWorker) -> None:
    """Return when the standby has read all rows of the changelog."""
    deadline = time.monotonic() + _FOLLOWED_S
    while True:
        followed = _here(standby)["standby"].get("0")
        if followed is not None and followed["state"] == "following" and not followed["behind_records"]:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"the standby does not follow: {followed}")
        time.sleep(0.05)
