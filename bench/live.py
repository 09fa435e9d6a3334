"""The time from `POST /v1/texts` to the event of `/v1/stream` that has the text counted, with and without other load.

Ten people each watch a word of their own and send it again and again, at moments that chance chooses. The time runs from just before a
request is sent to the event whose count has it. This process sends the other load too, on the cores of broker and worker. Runs during
which the host took much of these cores are repeated (`bench.stolen`).
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec
import numpy as np

from bench.latency import sampled, steady_load
from bench.repeated import summed_up
from bench.rig import PARTITIONS, Rig, stop_cleanly
from bench.stolen import STOLEN, least_disturbed, stolen_percent
from bench.topics import create_topic
from bench.usage import loop_delays
from bench.verify import answers_right, stores_right

RUNS = 3
MOST_RUNS = 9
SECONDS = 30.0
PEOPLE = 10
LEAST_PAUSE_S, MOST_PAUSE_S = 0.3, 1.7
INTERVAL_MS = 100
SHARE = 0.5
"""Share of the capacity at which the worker counts other texts. The capacity has to be measured in the same run."""

_ASK_EVERY_S = 0.5
"""Seconds between the questions of this script how far the worker is: they are not the people's, and each costs the worker time."""

_TIMEOUT_S = 30.0


def measure_live(rig: Rig, capacity_words_per_s: float) -> list[dict[str, Any]]:
    """Return a result with other load and the default flush interval, and one without load and a flush interval of 50 ms."""
    cases = {
        "live-50-percent": (capacity_words_per_s * SHARE, {}),
        "live-idle": (0.0, {"WORDCOUNT_FLUSH_INTERVAL_MS": "50"}),
    }
    return [_repeated(rig, name, words_per_s, settings) for name, (words_per_s, settings) in cases.items()]


def _repeated(rig: Rig, name: str, words_per_s: float, settings: Mapping[str, str]) -> dict[str, Any]:
    chosen, disturbed = least_disturbed(
        lambda number: _measure(rig, f"{name}-{number}", words_per_s, settings), RUNS, MOST_RUNS
    )
    result = {"name": name} | summed_up(
        chosen,
        listed="p99_ms",
        worst=("max_ms", "loop_stalls", "longest_loop_delay_ms", STOLEN),
        added=("texts",),
    )
    result["disturbed"] = [{key: run[key] for key in ("p99_ms", STOLEN)} for run in disturbed]
    result["verified"] = all(run["verified"] for run in (*chosen, *disturbed))
    return result


def _measure(rig: Rig, group: str, words_per_s: float, settings: Mapping[str, str]) -> dict[str, Any]:
    topic = group
    asyncio.run(create_topic(rig.servers, topic, PARTITIONS))
    load = steady_load(topic, words_per_s)
    gc.collect()
    gc.freeze()
    with rig.worker(topic, group, further={"WORDCOUNT_INGEST": "true", **settings}) as worker:
        worker.wait_ready()
        delays = loop_delays(worker.url)

        async def both() -> tuple[list[list[float]], float]:
            talking = asyncio.gather(*(_person(worker.url, number) for number in range(PEOPLE)))
            if words_per_s:
                _, taken = await sampled(rig.servers, worker.url, load, SECONDS, _ASK_EVERY_S)
            else:
                taken = SECONDS
            return await talking, taken

        with stolen_percent() as stolen:
            by_person, taken = asyncio.run(both())
        stalls, longest_s = loop_delays(worker.url).stalls_since(delays)
        truth = load.truth()
        truth.update({_word(number).encode(): len(seconds) for number, seconds in enumerate(by_person)})
        answered = answers_right(worker, truth)
        stop_cleanly(worker)
    gc.unfreeze()
    seconds = [each for person in by_person for each in person]
    p50, p99, longest = (np.percentile(seconds, [50, 99, 100]) * 1000).tolist()
    result = {
        "words_per_s": round(truth.total() / taken),
        "flush_ms": settings.get("WORDCOUNT_FLUSH_INTERVAL_MS", "default"),
        "interval_ms": INTERVAL_MS,
        "people": PEOPLE,
        "texts": len(seconds),
        "p50_ms": round(p50),
        "p99_ms": round(p99),
        "max_ms": round(longest),
        "loop_stalls": stalls,
        "longest_loop_delay_ms": round(longest_s * 1000, 1),
        STOLEN: stolen[0],
        "verified": answered and stores_right(rig.stores(topic, group), truth),
    }
    print(group, result, flush=True)
    return result


async def _person(url: str, number: int) -> list[float]:
    """Send texts for `SECONDS`, and return for each after how many seconds its event came."""
    word, chance = _word(number), random.Random(number)
    path = f"/v1/stream?word={word}&interval_ms={INTERVAL_MS}"
    begun: list[float] = []
    waited: list[float] = []
    heard = asyncio.Event()

    async def listen(stream: httpx.Response) -> None:
        async for count in _counts(stream):
            now = time.perf_counter()
            waited.extend(now - each for each in begun[len(waited) : count])
            heard.set()

    async with (
        httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S) as client,
        client.stream("GET", path) as stream,
    ):
        listening = asyncio.create_task(listen(stream))
        ends_at = time.perf_counter() + SECONDS
        while time.perf_counter() < ends_at:
            await asyncio.sleep(chance.uniform(LEAST_PAUSE_S, MOST_PAUSE_S))
            begun.append(time.perf_counter())
            answer = await client.post("/v1/texts", json={"texts": [word]})
            answer.raise_for_status()
        async with asyncio.timeout(_TIMEOUT_S):
            while len(waited) < len(begun):
                heard.clear()
                await heard.wait()
        listening.cancel()
    return waited


def _word(number: int) -> str:
    return f"live{number}"


async def _counts(stream: httpx.Response) -> AsyncIterator[int]:
    """Yield the count of each event that has one."""
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            body = msgspec.json.decode(line.removeprefix("data: "))
            if "words" in body:
                yield body["words"][0]["count"]
