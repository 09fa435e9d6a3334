"""Texts sent to a worker by HTTP: they are counted, what a client was told holds through a stop, and a broker that is away is told."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from app.local.embedded import EmbeddedBroker
from tests.integration.conftest import Workers, close_all
from tests.integration.worker import Worker, counts_of, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

JSON, NDJSON = "application/json", "application/x-ndjson"
STOP_S = 8.0
"""More than a worker needs to stop that has nothing to wait for."""


async def count_after(worker: Worker, word: str, reply: httpx.Response) -> int:
    """Return the count of a word as of the texts of a receipt."""
    assert reply.status_code == 202, reply.text
    answer = await worker.json(f"/v1/words/{word}", after=reply.json()["after"], wait_ms=20_000)
    for partition, end in reply.json()["partitions"].items():
        assert answer["as_of"][partition] >= end
    return int(answer["count"])


async def test_texts_are_counted_when_their_receipt_says_and_each_once(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 3)
    worker = await workers(ingest="true", ingest_bytes_per_s=100_000).start().wait_ready()
    own = f"http://127.0.0.1:{worker.port}"
    one = await worker.post("/v1/texts", b'{"texts": ["fox and fox", "wolf"]}', JSON, Origin=own)
    assert await count_after(worker, "fox", one) == 2
    lines = gzip.compress(b'"fox"\n{"text": "fox fox"}\n')
    for _ in range(2):  # with its key a request counts once, however often it is sent
        two = await worker.post("/v1/texts", lines, NDJSON, Content_Encoding="gzip", Idempotency_Key="fox-1")
        assert await count_after(worker, "fox", two) == 5
        assert len(two.json()["partitions"]) == 1
    assert (await worker.stats())["skipped"] == {"duplicate": 2}
    too_large = await worker.post("/v1/texts", gzip.compress(bytes(5 << 20)), Content_Encoding="gzip")
    assert (too_large.status_code, too_large.json()["title"]) == (413, "The body is too large")
    other_page = await worker.post("/v1/texts", b"fox", Origin="https://evil.example")
    assert other_page.status_code == 400
    book = b"\n".join(b"line %d of the book" % number for number in range(15_000))
    three = await worker.post("/v1/texts", book)
    assert await count_after(worker, "book", three) == three.json()["accepted"] == 15_000
    assert len(three.json()["partitions"]) == 3

    replies = [await worker.post("/v1/texts", b"many words " * 90_000) for _ in range(2)]
    assert replies[-1].status_code == 429
    assert int(replies[-1].headers["retry-after"]) >= 1

    await wait_counted([worker], kafka.bootstrap_servers, workers.topic)
    in_topic = await recount(kafka.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == in_topic - Counter(fox=3)
    metrics = await worker.metrics()
    accepted = sum(
        reply.json()["accepted"] for reply in [one, two, two, three, *replies] if reply.status_code == 202
    )
    assert metrics['wordcount_ingest_texts_total{outcome="accepted"}'] == accepted
    assert metrics['wordcount_ingest_requests_total{outcome="content-too-large"}'] == 1
    assert (await worker.stats())["records"] == accepted


async def test_a_worker_that_stops_ends_what_it_has_taken_and_keeps_its_word(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 2)
    worker = await workers(ingest="true").start().wait_ready()
    accepted: list[str] = []
    failed: list[str] = []

    async def send(client: int) -> None:
        for number in range(100_000):
            text = f"client-{client}-{number}"
            try:
                reply = await worker.post("/v1/texts", json.dumps({"texts": [text] * 3}).encode(), JSON)
            except httpx.TransportError:
                failed.append(text)
                return
            if reply.status_code == 503:
                assert reply.json()["detail"].startswith("this worker stops")
                return
            assert reply.status_code == 202, reply.text
            accepted.append(text)

    clients = [asyncio.create_task(send(client)) for client in range(4)]

    async def under_way() -> bool:
        return len(accepted) > 100

    await wait_for(under_way, "texts are being sent")
    exit_code, took_s = await worker.stop()
    await asyncio.gather(*clients)
    assert (exit_code, took_s < STOP_S) == (0, True), (exit_code, took_s)
    sent = [record.value.decode() for record in await kafka.read_all(workers.topic)]
    assert sorted(text for text in sent if text not in failed) == sorted(accepted * 3)
    await worker.start().wait_ready()
    await wait_counted([worker], kafka.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == await recount(kafka.bootstrap_servers, workers.topic)


@pytest.fixture
async def own(
    tmp_path: Path, broker: EmbeddedBroker, topic_name: str, kafka_at: Callable[[str], KafkaClient]
) -> AsyncIterator[tuple[EmbeddedBroker, KafkaClient, Workers]]:
    """A broker that the test may kill, and workers of that broker; the shared broker has filled the cache of jars."""
    with EmbeddedBroker(tmp_path / "broker") as mortal:
        workers = Workers(tmp_path, mortal.bootstrap_servers, topic_name)
        yield mortal, kafka_at(mortal.bootstrap_servers), workers
        await close_all(workers.made)


async def test_a_broker_that_is_away_is_told_in_time_and_texts_are_taken_when_it_is_back(
    own: tuple[EmbeddedBroker, KafkaClient, Workers],
) -> None:
    broker, kafka, workers = own
    await kafka.create_topic(workers.topic, 2)
    worker = await workers(ingest="true", request_timeout_ms=1000).start().wait_ready()
    assert await count_after(worker, "before", await worker.post("/v1/texts", b"before")) == 1
    await asyncio.to_thread(broker.kill)
    for in_doubt in (1, 0):
        started = time.monotonic()
        away = await worker.post("/v1/texts", b"perhaps", Idempotency_Key="k")
        assert time.monotonic() - started < 5
        assert (away.status_code, away.headers["retry-after"]) == (503, "1")
        problem = away.json()
        assert problem["type"].endswith(":not-delivered")
        assert (problem["accepted"], problem["in_doubt"]) == (0, in_doubt)
    await asyncio.to_thread(broker.start)

    async def taken() -> bool:
        return (await worker.post("/v1/texts", b"after", Idempotency_Key="k-2")).status_code == 202

    await wait_for(taken, "texts are taken again")
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert (await worker.json("/v1/words/after"))[
        "count"
    ] == 1  # also if several requests were sent until one was answered
