"""Watches beside a real broker: every crossing reaches its receiver, whoever sends it, and duplicates have the same id."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
from aiokafka import AIOKafkaProducer

from tests.fakes.receiver import SECRET, Receiver
from tests.fakes.watches import watches_file
from tests.integration.worker import Worker, wait_counted, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 3
START_S = 1_767_225_600
"""2026-01-01T00:00:00Z."""
KILLS = 5
ABOVE = {"alarms": 2, "errors": 1, "in-all": 10}
HOSTILE = 'err"\\\x01\u202eé👍</script>'

Key = tuple[str, str, str | None]
"""Watch, word and beginning of the window."""


def lines_of(minute: int) -> list[str]:
    """The lines of a minute: in every second one more than two alarms, in every third a word with the prefix twice."""
    lines = ["calm water", *["alarm"] * (3 if minute % 2 else 2), f"errand{minute}"]
    return lines + ([f"{HOSTILE} errand{minute}", HOSTILE] if minute % 3 == 0 else [])


def truth(minutes: int) -> set[Key]:
    """What has to be told, counted here."""
    found: set[Key] = set()
    total = 0
    for minute in range(minutes):
        words = Counter(" ".join(lines_of(minute)).split())
        total += words["alarm"]
        start = f"2026-01-01T00:{minute:02}:00Z"
        if words["alarm"] > ABOVE["alarms"]:
            found.add(("alarms", "alarm", start))
        found |= {
            ("errors", word, start)
            for word, count in words.items()
            if word.startswith("err") and count > ABOVE["errors"]
        }
    return found | ({("in-all", "alarm", None)} if total > ABOVE["in-all"] else set())


async def produce(producer: AIOKafkaProducer, topic: str, minute: int) -> None:
    lines = lines_of(minute)
    for partition in range(PARTITIONS):
        # One record more in each partition, so that the time goes on everywhere.
        for place, line in enumerate([*lines[partition::PARTITIONS], ""]):
            time_ms = (START_S + 60 * minute) * 1000 + place
            await producer.send(topic, line.encode(), partition=partition, timestamp_ms=time_ms)
    await producer.flush()


def told(receiver: Receiver) -> dict[Key, set[str]]:
    """What was told -> the ids with which it was."""
    found: dict[Key, set[str]] = {}
    for event_id, events in receiver.accepted.items():
        for event in events:
            data = event["data"]
            start = None if data["window"] is None else data["window"]["start"]
            found.setdefault((data["watch"], data["word"], start), set()).add(event_id)
            assert data["count"] > data["threshold"] == ABOVE[data["watch"]]
            assert start is None or event["time"] == start
    return found


async def standing(worker: Worker) -> Any:
    """What the worker says of the watches; None while it says nothing."""
    try:
        response = await worker.get("/v1/watches")
    except httpx.TransportError:
        return None
    return response.json() if response.status_code == 200 else None


async def the_owner(workers: list[Worker]) -> Worker:
    """The worker that sends, which all workers name."""
    found: list[Worker] = []

    async def named() -> bool:
        found[:] = []
        for worker in workers:
            if (state := await standing(worker)) and state["watches"]:
                found.extend(one for one in workers if state["owner"].endswith(f":{one.port}"))
        return len(found) == len(workers) and len(set(found)) == 1

    await wait_for(named, "all workers name the one that sends")
    return found[0]


async def test_every_crossing_is_delivered_although_receiver_and_workers_fail(
    kafka: KafkaClient, workers: Workers, tmp_path: Path
) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS, {"retention.ms": "-1"})
    async with (
        Receiver(failing=0.5, seed=17) as receiver,
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer,
    ):
        file = watches_file(
            tmp_path,
            receiver.url,
            ("alarms", 'word = "alarm"\nwindow = "1m"', ABOVE["alarms"]),
            ("errors", 'prefix = "err"\nwindow = "1m"', ABOVE["errors"]),
            ("in-all", 'word = "alarm"', ABOVE["in-all"]),
        )
        settings = {"windows": "1m", "grace": "5s", "watches": file}
        both = [workers(**settings).start(), workers(**settings).start()]
        for worker in both:
            await worker.wait_ready()
        await the_owner(both)

        async def all_looked_at() -> bool:
            state = await standing(both[0])
            return bool(state) and all(one["evaluated"] for one in state["watches"])

        # A new watch looks at the windows that come after its first look.
        await wait_for(all_looked_at, "the watches have begun")
        minute = 0
        for _ in range(KILLS):
            for _ in range(4):
                await produce(producer, workers.topic, minute)
                minute += 1
            owner = await the_owner(both)
            await owner.kill()
            await produce(producer, workers.topic, minute)
            minute += 1
            owner.start()
        await produce(producer, workers.topic, minute)
        minute += 1
        await wait_counted(both, workers.bootstrap_servers, workers.topic)
        wanted = truth(minute)

        async def all_told() -> bool:
            return told(receiver).keys() >= wanted

        try:
            await wait_for(all_told, "every crossing is delivered")
        finally:
            print("not delivered:", wanted - told(receiver).keys())
        found = told(receiver)
        assert found.keys() == wanted
        assert [ids for ids in found.values() if len(ids) != 1] == []
        assert receiver.failed > 0
        assert receiver.redirected == 0
        assert any(word == HOSTILE for _, word, _ in found)

        await the_owner(both)

        async def at_rest() -> bool:
            state = await standing(both[0])
            return bool(state) and not any(one["waiting"] for one in state["watches"])

        await wait_for(at_rest, "nothing waits")
        for worker in both:
            state = await standing(worker)
            assert [one["name"] for one in state["watches"]] == list(ABOVE)
            assert {one["problem"] for one in state["watches"]} == {None}
            assert {one["receiver"] for one in state["watches"]} == {receiver.url.partition("/hook")[0]}
            assert "hidden" not in worker.log
            assert SECRET not in worker.log
        await the_stream_tells(both[1], producer, workers.topic, minute)


async def the_stream_tells(worker: Worker, producer: AIOKafkaProducer, topic: str, minute: int) -> None:
    """A stream of the watches tells a crossing that comes."""
    async with worker._client.stream("GET", "/v1/stream?watches", timeout=30) as response:
        assert response.status_code == 200
        minute += 1 - minute % 2
        await produce(producer, topic, minute)
        start = f"2026-01-01T00:{minute:02}:00Z"
        async with asyncio.timeout(20):
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                body = json.loads(line.removeprefix("data: "))
                if any(one["window"] and one["window"]["start"] == start for one in body["crossings"]):
                    return
