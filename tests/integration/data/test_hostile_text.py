"""Broken or hostile text: the worker counts or refuses it, and no word or name forges a line of the log.

Tests of codecs, holes in the offsets and aborted transactions are in `workers/test_worker_input.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from app.local.embedded import EmbeddedBroker
from app.printable import printable
from tests.integration.hostile import CONTROL, assert_log_is_not_forged
from tests.integration.operator_tools import wordcount
from tests.integration.worker import (
    counts_of,
    recount,
    wait_counted,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_words_with_control_characters_are_counted_and_forge_no_line(
    log_format: str, kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 2)
    forged = "\x1b[2J\x1b[31m2026-01-01T00:00:00Z[info]forged\x1b]0;title\x07"
    words = [
        forged,
        "a\x00b",
        "\x00",
        "\x7f",
        "back\x08space",
        "x\u202egpj.exe",
        "\ufeff",
        "'\"<script>&",
        "%00",
        "{}",
        "../..",
    ]
    await kafka.produce(workers.topic, [f"{word} {word}\r\n{word}".encode() for word in words])
    worker = await workers(log_format=log_format, log_level="debug").start("--print-counts").wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == dict.fromkeys(words, 3)
    for word in words:
        encoded = "".join(f"%{byte:02x}" for byte in word.encode())
        assert (await worker.json(f"/v1/words/{encoded}"))["count"] == 3
        page = await worker.json("/v1/words", prefix=word, limit=1)
        assert page["words"] == [{"word": word, "count": 3}]
    assert Counter(worker.stdout.splitlines()) == {
        f"({printable(word)},{total})": 1 for word in words for total in (1, 2, 3)
    }
    for arguments in (("top",), ("get", forged)):
        shown = wordcount(worker, *arguments)
        assert shown.returncode == 0, shown.stderr
        assert not CONTROL.search(shown.stdout)
    assert (await worker.stop())[0] == 0
    assert_log_is_not_forged(worker)
    if log_format == "json":
        entries = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
        assert len(entries) > len(words)


async def test_half_surrogates_in_json_are_replaced_and_in_utf8_are_invalid(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    values = [
        rb'"lone\ud800 \udfff"',
        rb'"pair \ud83d\ude00"',
        rb'"\u0000nul"',
        b'"raw\xed\xa0\x80"',
        rb'"\ud83d\ud83d\ude00"',
    ]
    await kafka.produce(workers.topic, values)
    worker = await workers(value_format="json", on_invalid_utf8="dead_letter").start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == {
        "lone\ufffd": 1,
        "\ufffd": 1,
        "pair": 1,
        "😀": 1,
        "\x00nul": 1,
        "\ufffd😀": 1,
    }
    assert (await worker.stats())["dead_lettered"] == {"invalid_utf8": 1}


async def test_keys_headers_timestamps_and_names_at_their_bounds_change_no_count(
    broker: EmbeddedBroker, kafka: KafkaClient, workers: Workers
) -> None:
    workers.topic = topic = f"a.b_c-{workers.topic}.v1"
    workers.group = f"group.{workers.topic}"
    await kafka.create_topic(topic, 1)
    async with AIOKafkaProducer(bootstrap_servers=workers.bootstrap_servers) as producer:
        for number in range(3):
            await producer.send_and_wait(topic, b"large key", b"k" * 1_000_000)
            await producer.send_and_wait(topic, b"large header", headers=[("h" * 30_000, b"v" * 900_000)])
            await producer.send_and_wait(
                topic, b"many headers", headers=[(f"h{i}", b"") for i in range(20_000)]
            )
            await producer.send_and_wait(topic, b"no time", timestamp_ms=-1)
            await producer.send_and_wait(topic, b"time zero", timestamp_ms=0)
            await producer.send_and_wait(topic, b"", b"", headers=[("", b"")])
            await producer.send_and_wait(topic, None, b"\xff\x00")
            await producer.send_and_wait(topic, b"large %d" % number)
    worker = await workers(topic=topic, group=workers.group).start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, topic)
    assert await counts_of([worker]) == await recount(workers.bootstrap_servers, topic)
    stats = await worker.stats()
    assert (stats["records"], stats["counted"], stats["skipped"]) == (24, 21, {"null": 3})
