"""Input of every kind: all codecs, tiny batches, holes in the offsets, transactions, and records that are not plain text."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from tables.model.names import dead_letter_topic
from tests.integration.worker import (
    Worker,
    counts_of,
    end_offsets,
    lines,
    positions_of,
    recount,
    wait_counted,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
COMPACTION_TIMEOUT_S = 40


async def counted(worker: Worker, workers: Workers) -> Worker:
    """Start the worker, wait until it has counted every record of its topic, and return it."""
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    return worker


async def assert_all_records_accounted_for(worker: Worker, records: int) -> Any:
    """Check that `/v1/stats` and `/metrics` account alike for all `records`; return the body of `/v1/stats`."""
    stats, metrics = await worker.stats(), await worker.metrics_of(records)
    assert stats["records"] == records
    assert stats["counted"] + sum(stats["skipped"].values()) + sum(stats["dead_lettered"].values()) == records
    outcomes = {name: value for name, value in metrics.items() if name.startswith("wordcount_records_total{")}
    assert metrics["wordcount_records_read_total"] == sum(outcomes.values()) == records
    for outcome in ("skipped", "dead_lettered"):
        for reason, number in stats[outcome].items():
            assert outcomes[f'wordcount_records_total{{outcome="{outcome}",reason="{reason}"}}'] == number
    assert metrics["wordcount_words_total"] == stats["words"] == (await counts_of([worker])).total()
    return stats


async def test_every_codec_and_batches_of_one_record_are_counted(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, len(CODECS) + 1)
    for partition, codec in enumerate(CODECS):
        await kafka.produce(topic, lines(partition, 400), partition=partition, compression=codec)
    alone = len(CODECS)
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        for line in lines(alone, 100):
            await producer.send_and_wait(topic, line, partition=alone)
    worker = await counted(workers(), workers)
    assert await positions_of([worker]) == await end_offsets(servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)
    await assert_all_records_accounted_for(worker, 400 * len(CODECS) + 100)


async def test_by_default_null_is_skipped_and_invalid_utf8_is_replaced(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    values = [b"one two", None, b"", b"caf\xe9 two", b"\xff", None, "Grüße 😀 two".encode()] * 20
    await kafka.produce(workers.topic, values, keys=map(b"%d".__mod__, itertools.count()))
    worker = await counted(workers(), workers)
    truth: Counter[str] = Counter()
    for value in values:
        truth.update((value or b"").decode("utf-8", "replace").split())
    assert await counts_of([worker]) == truth
    stats = await assert_all_records_accounted_for(worker, len(values))
    assert stats["skipped"] == {"null": 40}
    assert stats["dead_lettered"] == {}


async def test_records_that_cannot_be_counted_go_to_the_dead_letter_topic_as_they_were(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 2)
    good = json.dumps({"message": {"text": "the text"}}).encode()
    long_word = json.dumps({"message": {"text": "x" * 33}}).encode()
    bad: list[tuple[bytes | None, str]] = [
        (None, "null"),
        (b'{"message": {"text": "\xff"}}', "invalid_utf8"),
        (b"{not json", "invalid_json"),
        (b'{"message": {"other": "the text"}}', "missing_text"),
        (long_word, "oversized_word"),
    ]
    values = [value for reject, _ in bad for value in (good, reject)] * 3
    reasons = dict(bad)
    places = await kafka.produce(workers.topic, values, keys=map(b"%d".__mod__, itertools.count()))
    expected = {
        place: (value, reasons[value])
        for place, value in zip(places, values, strict=True)
        if value in reasons
    }
    worker = await counted(
        workers(
            value_format="json",
            json_pointer="/message/text",
            on_null="dead_letter",
            on_invalid_utf8="dead_letter",
            on_oversized_word="dead_letter",
            max_word_bytes=32,
        ),
        workers,
    )
    assert await counts_of([worker]) == {"the": 15, "text": 15}
    stats = await assert_all_records_accounted_for(worker, len(values))
    assert stats["dead_lettered"] == {reason: 3 for _, reason in bad}
    letters = {}
    for record in await kafka.read_all(dead_letter_topic(workers.group, workers.topic)):
        headers = {name.removeprefix("wordcount-"): value.decode() for name, value in record.headers}
        assert headers["topic"] == workers.topic
        letters[int(headers["partition"]), int(headers["offset"])] = (record.value, headers["reason"])
    assert letters == expected


async def test_a_compacted_topic_is_counted_with_its_holes(kafka: KafkaClient, workers: Workers) -> None:
    topic = workers.topic
    await kafka.create_topic(
        topic,
        config={"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"},
    )
    # Every seventh record has a unique key and stays; of the other records only the last record of each key stays.
    keys = [b"own %d" % i if i % 7 == 0 else b"key %d" % (i % 20) for i in range(1000)]
    await kafka.produce(topic, lines(7, 1000), keys=keys)
    left = len(set(keys))
    async with asyncio.timeout(COMPACTION_TIMEOUT_S):
        rolled = 0
        while len(await kafka.read_all(topic)) > left + rolled:
            await kafka.produce(topic, [b"rolls the segment"], keys=[b"roll %d" % rolled])
            rolled += 1
    worker = await counted(workers(), workers)
    assert await counts_of([worker]) == await recount(workers.bootstrap_servers, topic)
    await assert_all_records_accounted_for(worker, left + rolled)


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
async def test_aborted_records_count_only_for_those_who_want_them(
    isolation: str, kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    truth: Counter[str] = Counter()
    async with AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"tx-{topic}") as producer:
        for number in range(20):
            is_aborted = number % 3 == 1
            chunk = lines(number, 30)
            await producer.begin_transaction()
            await asyncio.gather(*[await producer.send(topic, line, partition=number % 2) for line in chunk])
            await (producer.abort_transaction() if is_aborted else producer.commit_transaction())
            plain = lines(1000 + number, 5)
            await kafka.produce(topic, plain, partition=number % 2)
            for line in plain + ([] if is_aborted and isolation == "read_committed" else chunk):
                truth.update(line.decode().split())
    worker = await counted(workers(isolation=isolation), workers)
    assert await counts_of([worker]) == truth == await recount(servers, topic, isolation)
    await assert_all_records_accounted_for(worker, truth.total() // 10)
