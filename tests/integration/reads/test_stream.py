"""`/v1/stream` beside a real broker: changes come soon, a stream ends with its worker, and another worker or a view goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from app.web.stream_client import RETRY_MS
from tests.fakes.events import Event, Events
from tests.integration.worker import DEADLINE_S, Worker, wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 2
FRESH_S = 3.0
"""The interval of a second, the workers' flush interval of 100 ms, and the delay that two busy cores may add."""
STOP_S = 10.0
"""Most seconds that the end of an idle process takes on two busy cores."""
END_S = 1.5
"""Less than HTTP gives to open requests at the end (2 s), and that is after the last flush."""


@asynccontextmanager
async def stream(worker: Worker, query: str, last_id: str = "") -> AsyncIterator[Events]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}", timeout=DEADLINE_S) as client,
        client.stream("GET", f"/v1/stream?{query}", headers=headers) as reply,
    ):
        assert reply.status_code == 200
        yield Events(reply)


async def until_count(events: Events, count: int) -> Event:
    """Read events until the first word has `count`; return that event."""
    while (event := await events.next()) is not None:
        if event.kind in ("snapshot", "change") and event.data["words"][0]["count"] == count:
            return event
    raise AssertionError("the stream has ended")


def positions(event: Event) -> dict[str, int]:
    assert event.id is not None
    found = {part.split(":")[0]: int(part.split(":")[1]) for part in event.id.split(",")}
    assert found == event.data["as_of"]
    return found


async def end_of(events: Events) -> float:
    """Read up to the end, before which the client is told when to come back; return when that was."""
    last: list[str] = []
    while (event := await events.next()) is not None:
        last = event.lines
    assert last == [f"retry: {RETRY_MS}"]
    return time.monotonic()


async def test_a_stream_ends_with_its_worker_and_another_worker_and_a_view_go_on_with_it(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS)
    both = [workers().start(), workers().start()]
    for worker in both:
        await worker.wait_ready()
    await kafka.produce(workers.topic, [b"fox", b"fox"], partition=0)
    await wait_counted(both, workers.bootstrap_servers, workers.topic)
    async with stream(both[0], "word=fox&word=wolf") as events, stream(both[0], "top=1") as others:
        first = await events.next()
        assert first is not None
        assert (first.kind, [one["count"] for one in first.data["words"]]) == ("snapshot", [2, 0])
        # Partition 1 may be counted by the other worker.
        for partition in range(PARTITIONS):
            await kafka.produce(workers.topic, [b"fox"], partition=partition)
            produced_s = time.monotonic()
            last = await until_count(events, 3 + partition)
            assert (last.kind, time.monotonic() - produced_s < FRESH_S) == ("change", True)
        seen = positions(last)
        assert all(seen[number] >= offset for number, offset in positions(first).items())
        assert (await both[0].metrics())["wordcount_stream_clients"] == 2

        stopped_s = time.monotonic()
        stopping = asyncio.create_task(both[0].stop())
        for one in (events, others):
            assert await end_of(one) - stopped_s < END_S
    code, took_s = await stopping
    assert (code, took_s < STOP_S) == (0, True), (took_s, both[0].log)

    await kafka.produce(workers.topic, [b"fox"], partition=1)
    view = await workers(entry="view").start().wait_ready()
    for process in (both[1], view):
        async with stream(process, "word=fox&interval_ms=250", last.id or "") as events:
            found = await until_count(events, 5)
            assert all(positions(found)[number] >= offset for number, offset in seen.items())
            stopping = asyncio.create_task(process.stop())
            await end_of(events)
        code, took_s = await stopping
        assert (code, took_s < STOP_S) == (0, True), (took_s, process.log)
