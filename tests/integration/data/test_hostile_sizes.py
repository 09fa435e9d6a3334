"""Input of extreme size or amount: no record is lost or miscounted, and memory is bounded."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from agents.source.dead_letters import MAX_VALUE_BYTES
from app.exit_codes import EXIT_CONFIGURATION
from tables.model.names import dead_letter_topic
from tests.integration.hostile import fill, peak_mb
from tests.integration.worker import (
    counts_of,
    lines,
    wait_counted,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

LARGE_BYTES = 12_000_000


@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
async def test_messages_of_10_mb_and_words_of_1_mb_follow_the_policy(
    policy: str, kafka: KafkaClient, workers: Workers
) -> None:
    topic = workers.topic
    await kafka.create_topic(topic, 2, config={"max.message.bytes": str(LARGE_BYTES)})
    long_word = b"x" * 1_000_000
    large = b" ".join(lines(1, 150_000))[:10_000_000]
    reject = large + b" " + long_word
    values = [b"small one", large, b"small two", long_word + b" beside", reject, b"x" * 16_384, b"", b"end"]
    async with AIOKafkaProducer(
        bootstrap_servers=workers.bootstrap_servers, max_request_size=LARGE_BYTES
    ) as producer:
        for partition, value in itertools.product((0, 1), values):
            await producer.send_and_wait(topic, value, partition=partition)
    worker = await workers(on_oversized_word=policy).start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, topic)

    counted = [value for value in values if policy == "skip" or long_word not in value]
    truth = Counter({word.decode(): 2 * n for word, n in Counter(b" ".join(counted).split()).items()})
    truth.pop(long_word.decode(), None)
    assert await counts_of([worker]) == truth
    stats = await worker.stats()
    if policy == "skip":
        assert (stats["counted"], stats["dropped_words"]) == (2 * len(values), {"oversized": 4})
        return
    assert (stats["counted"], stats["dead_lettered"]) == (2 * len(values) - 4, {"oversized_word": 4})
    letters = await kafka.read_all(dead_letter_topic(workers.group, topic))
    found = {
        (int(h["wordcount-partition"]), int(h["wordcount-offset"])): (letter.value, h)
        for letter in letters
        for h in [dict(letter.headers)]
    }
    assert found.keys() == {(partition, offset) for partition in (0, 1) for offset in (3, 4)}
    for (_, offset), (value, headers) in found.items():
        # The dead-letter topic takes no message of this size; the headers say where the record itself is.
        assert len(values[offset]) > MAX_VALUE_BYTES
        assert value is None
        assert int(headers["wordcount-value-bytes"]) == len(values[offset])


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
async def test_records_that_unpack_to_much_are_counted_or_dead_lettered_in_bounded_memory(
    codec: str, kafka: KafkaClient, workers: Workers
) -> None:
    """The messages have 20 kB, or 1 MB with lz4, and unpack to 300 MB of text; a fetch returns all of them."""
    await kafka.create_topic(workers.topic, 2)
    small, large = b"ab " * 2_000_000, b"ab " * 20_000_000
    values = [b"begin", large, *[small] * 15, large, b"between", large, b"end"]
    async with AIOKafkaProducer(
        bootstrap_servers=workers.bootstrap_servers, max_request_size=100_000_000, compression_type=codec
    ) as producer:
        for value in values:
            await producer.send_and_wait(workers.topic, value, partition=0)
        await producer.send_and_wait(workers.topic, b"of another", partition=1)
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    truth = {"ab": 15 * 2_000_000, "begin": 1, "between": 1, "end": 1, "of": 1, "another": 1}
    assert await counts_of([worker]) == truth
    stats = await worker.stats()
    assert (stats["records"], stats["counted"]) == (len(values) + 1, len(values) - 2)
    assert stats["dead_lettered"] == {"oversized_record": 3}
    letters = await kafka.read_all(dead_letter_topic(workers.group, workers.topic))
    found = {int(dict(one.headers)["wordcount-offset"]): one for one in letters}
    assert found.keys() == {1, 17, 19}
    for letter in found.values():
        assert letter.value is None
        assert int(dict(letter.headers)["wordcount-value-bytes"]) == len(large)
        assert dict(letter.headers)["wordcount-reason"] == b"oversized_record"
    assert peak_mb(worker) < 500


async def test_a_flood_of_dead_letters_is_sent_and_counted_once_each(
    kafka: KafkaClient, workers: Workers
) -> None:
    """One buffer holds all the records, but the worker must not send all dead letters at the same time."""
    await kafka.create_topic(workers.topic, 1)
    sent = await fill(workers, 0, itertools.chain([b'"good"'], itertools.repeat(b"{", 300_000), [b'"good"']))
    worker = await workers(value_format="json").start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    stats = await worker.stats()
    assert (stats["records"], stats["counted"]) == (sent, 2)
    assert stats["dead_lettered"] == {"invalid_json": 300_000}
    assert "not applied" not in worker.log
    assert peak_mb(worker) < 300


async def test_a_dead_letter_topic_that_refuses_letters_ends_the_worker_and_loses_nothing(
    kafka: KafkaClient, workers: Workers
) -> None:
    letters = dead_letter_topic(workers.group, workers.topic)
    await kafka.create_topic(workers.topic, 1)
    await kafka.create_topic(letters, 1, config={"max.message.bytes": "100"})
    await kafka.produce(workers.topic, [b'"good"', b"{" * 1000, b'"good"'])
    worker = workers(value_format="json").start()
    assert await worker.ended() == EXIT_CONFIGURATION
    (said,) = [line for line in worker.log.splitlines() if line.startswith("wordcount: ")]
    assert letters in said
    assert "max.message.bytes" in said

    await kafka.alter_topic(letters, {})
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == {"good": 2}
    assert (await worker.stats())["dead_lettered"] == {"invalid_json": 1}
    assert [letter.value for letter in await kafka.read_all(letters)] == [b"{" * 1000]


async def test_millions_of_distinct_words_stay_below_the_memory_ceiling(
    kafka: KafkaClient, workers: Workers
) -> None:
    """There are three times as many words as the caches hold; a partition that is counted must keep nothing of former caches."""
    partitions, words_each = 8, 375_000
    await kafka.create_topic(workers.topic, partitions)
    worker = await workers().start().wait_ready()

    def texts(partition: int) -> Iterator[bytes]:
        for start in range(0, words_each, 25):
            yield b" ".join(
                [b"%dw%d" % (n * 2_654_435_761 % 2**32, partition) for n in range(start, start + 25)]
            )

    for partition in range(partitions):
        await fill(workers, partition, texts(partition))
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert (await worker.stats())["words"] == partitions * words_each
    for n in range(0, words_each, 7919):
        word = f"{n * 2_654_435_761 % 2**32}w{n % partitions}"
        assert (await worker.json(f"/v1/words/{word}"))["count"] == 1
    assert peak_mb(worker) < 800


async def test_two_million_empty_messages_are_counted_as_records_in_bounded_memory(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    sent = await fill(workers, 0, itertools.chain(itertools.repeat(b"", 2_000_000), [None, b"last"]))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    stats = await worker.stats()
    assert (stats["records"], stats["words"], stats["skipped"]) == (sent, 1, {"null": 1})
    assert peak_mb(worker) < 600
