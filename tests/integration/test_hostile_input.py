"""Input that nobody meant: huge, broken, empty, or made to harm. Nothing is lost or miscounted, and the worker lives or says why not.

Codecs, holes and aborted transactions: test_worker_input.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer

from agents.dead_letters import MAX_VALUE_BYTES
from app.faust_app import EXIT_CONFIGURATION
from app.kafka.embedded import EmbeddedBroker
from app.printable import printable
from tables.schema import changelog_topic, dead_letter_topic
from tests.integration.operator_tools import wordcount
from tests.integration.worker import (
    Worker,
    counts_of,
    lines,
    positions_of,
    recount,
    wait_counted,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

LARGE_BYTES = 12_000_000
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What no line of a log may hold."""


async def fill(workers: Workers, partition: int, values: Iterable[bytes | None]) -> int:
    """Append many small records at once; returns how many."""
    count = 0
    async with AIOKafkaProducer(
        bootstrap_servers=workers.bootstrap_servers,
        acks="all",
        compression_type="lz4",
        max_batch_size=900_000,
    ) as producer:
        sent = []
        batch = producer.create_batch()
        for value in values:
            count += 1
            if batch.append(key=None, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batch, workers.topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=None, value=value, timestamp=None)
        sent.append(await producer.send_batch(batch, workers.topic, partition=partition))
        await asyncio.gather(*sent)
    return count


def peak_mb(worker: Worker) -> float:
    """Most resident memory that the process ever had, MiB."""
    status = Path(f"/proc/{worker.pid}/status").read_text("ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def assert_log_is_not_forged(worker: Worker) -> None:
    forged = [line for line in worker.log.split("\n") if CONTROL.search(line)]
    assert not forged, forged[0]


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
        # The broker takes no message of this size here: the record itself is where the headers say.
        assert len(values[offset]) > MAX_VALUE_BYTES
        assert value is None
        assert int(headers["wordcount-value-bytes"]) == len(values[offset])


async def test_a_flood_of_dead_letters_is_sent_and_counted_once_each(
    kafka: KafkaClient, workers: Workers
) -> None:
    """One window holds all of them; they are not all on their way at once."""
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
    """Three times the words whose counts are cached; partitions that are done keep nothing of former caches."""
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


def corrupt(broker: EmbeddedBroker, topic: str, partition: int, text: bytes) -> None:
    """Flip a bit of `text`, which one record of a stopped broker holds, in its log on disk."""
    (segment,) = (broker.data_dir / "log" / f"{topic}-{partition}").glob("*.log")
    content = bytearray(segment.read_bytes())
    assert content.count(text) == 1
    content[content.index(text)] ^= 1
    segment.write_bytes(content)


async def test_a_corrupt_batch_stops_its_partition_after_what_precedes_it_and_the_others_go_on(
    tmp_path: Path, kafka_at: Callable[[str], KafkaClient], workers: Workers
) -> None:
    topic, changelog = workers.topic, changelog_topic(workers.group, workers.topic)
    with EmbeddedBroker(tmp_path / "broker") as own:
        kafka = kafka_at(own.bootstrap_servers)
        await kafka.create_topic(topic, 3)
        for partition in range(3):
            await kafka.produce(topic, lines(partition, 50), partition=partition)
        await kafka.produce(topic, [b"unreadable", b"batch"], partition=1)
        for partition in range(3):
            await kafka.produce(topic, lines(10 + partition, 50), partition=partition)
        own.stop()
        corrupt(own, topic, 1, b"unreadable")
        own.start()
        worker = workers(bootstrap_servers=own.bootstrap_servers).start()
        said = await stopped(worker, 1)
        assert f"{topic} partition 1: the record batch at offset 50 is corrupt" in said
        assert "intact replica" in said
        await kafka.produce(topic, lines(20, 50), partition=0)

        async def the_rest_is_counted() -> bool:
            return await positions_of([worker]) == {0: 150, 1: 50, 2: 100}

        await wait_for(the_rest_is_counted, "all that can be read counted")
        seeds = (0, 10, 20, 1, 2, 12)
        truth = Counter(b" ".join([line for seed in seeds for line in lines(seed, 50)]).decode().split())
        assert await counts_of([worker]) == truth
        assert (await worker.stop())[0] == 0

        # Now the state folder is lost, and a batch of the changelog is corrupt too.
        own.stop()
        corrupt(own, changelog, 2, b'"position":100')
        own.start()
        worker.start(WORDCOUNT_STATE_DIR=str(tmp_path / "another"))
        await stopped(worker, 1, 2)
        said = next(line for line in worker.log.splitlines() if "changelog" in line and "corrupt" in line)
        assert f"{changelog} partition 2: the record batch at offset" in said
        assert "wordcount reset" in said
        assert await positions_of([worker]) == {0: 150, 1: 50}
        await worker.close()


async def stopped(worker: Worker, *numbers: int) -> str:
    """Wait until exactly these partitions are stopped; returns the last line about it."""

    async def are_stopped() -> bool:
        if await worker.status("/readyz") is None:
            return False
        partitions = (await worker.stats())["partitions"]
        return {int(n) for n, status in partitions.items() if status["state"] == "stopped"} == set(numbers)

    await wait_for(are_stopped, f"partitions {numbers} stopped")
    return [line for line in worker.log.splitlines() if "partition stopped" in line][-1]


async def asked_raw(worker: Worker, request: bytes) -> bytes:
    """What a connection answers to these bytes until it is closed, or after a second without one more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    answer = b""
    try:
        with suppress(ConnectionError, TimeoutError):
            writer.write(request)
            await writer.drain()
            while part := await asyncio.wait_for(reader.read(65_536), 1):
                answer += part
                if answer.endswith(b"}"):
                    break
    finally:
        writer.close()
    return answer


async def test_bad_http_is_refused_and_open_connections_keep_nobody_waiting(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    await kafka.produce(workers.topic, [b"word"])
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    ended = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for request, status in [
        (b"GET /v1/words/" + b"a" * 60_000 + ended, b"404"),
        (b"GET /v1/words/" + b"a" * 200_000 + ended, b"400"),
        (b"GET /v1/words/\xff\xfe" + ended, b"400"),
        (b"GET /v1/words/%ff" + ended, b"400"),
        (b"GET /v1/words/a%00b" + ended, b"404"),
        (b"GET /v1/words/a\x00b" + ended, b"400"),
        (b"GET /v1/words?limit=99999999999999999999" + ended, b"422"),
        (b"GET /v1/top?k=-1" + ended, b"422"),
        (b"GET /v1/top?k=1&k=2" + ended, b"400"),
        (b"GET /../../etc/passwd" + ended, b"404"),
        (b"DELETE /v1/words/word" + ended, b"405"),
        (
            b"POST /v1/words HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789",
            b"405",
        ),
        (b"BREW /v1/top" + ended, b"4"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: \x1b[31m\r\nA\x00B: c\r\n\r\n", b"400"),
        (b"\x00" * 100_000, b"400"),
    ]:
        answer = await asked_raw(worker, request)
        assert answer.startswith(b"HTTP/1.1 " + status), (request[:60], answer[:200])
        assert b"Traceback" not in answer
    async with AsyncExitStack() as opened:
        for _ in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
            opened.callback(writer.close)
            writer.write(b"GET /v1/top HTTP/1.1\r\nHost: x\r\nX-Never-Ends: ")
            await writer.drain()
        started = time.monotonic()
        assert (await worker.json("/v1/words/word"))["count"] == 1
        assert time.monotonic() - started < 1
    assert_log_is_not_forged(worker)
    assert "Traceback" not in worker.log
    assert (await worker.stop())[0] == 0
