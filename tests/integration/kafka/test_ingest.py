"""The ingest against a real broker: keys, partitions and receipts, refusals, brokers that are away, and the end."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.config.loading import load_settings
from app.config.settings import Settings
from app.local.embedded import EmbeddedBroker
from app.produce.ingest import MOST_AT_ONCE, STOP_S, KafkaIngest
from app.produce.receipt import NotDeliveredError, TextTooLongError
from app.produce.record_ids import partition_of
from tables.errors import NotReadyError, OverloadedError
from tables.model.names import ID_HEADER

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

KEY, SPOILT = "order-4711", "too-large"
BUSY_S = 5.0
"""What two busy cores may add to a time-out."""


@asynccontextmanager
async def ingesting(settings: Settings) -> AsyncIterator[KafkaIngest]:
    ingest = KafkaIngest(settings)
    try:
        yield ingest
    finally:
        await ingest.close()


def ids(records: list[Any]) -> list[bytes]:
    return [dict(record.headers)[ID_HEADER] for record in records]


async def test_texts_without_a_key_spread_over_partitions_and_the_receipt_says_where_they_end(
    settings: Settings, kafka: KafkaClient
) -> None:
    await kafka.create_topic(settings.topic, 3)
    texts = [f"text {number} " + "x" * 100 for number in range(5000)]
    async with ingesting(settings) as ingest:
        small = await ingest.send(["a", "b", ""], None)
        assert (small.accepted, len(small.ends), set(small.ends.values())) == (3, 1, {3})
        receipt = await ingest.send(texts, None)
    assert receipt.accepted == len(texts)
    records = await kafka.read_all(settings.topic)
    assert Counter(record.value.decode() for record in records) == Counter([*texts, "a", "b", ""])
    assert receipt.ends == {
        number: 1 + max(record.offset for record in records if record.partition == number)
        for number in range(3)
    }
    assert {record.headers for record in records} == {()}
    assert {record.key for record in records} == {None}


async def test_texts_with_a_key_have_their_ids_in_one_partition_in_their_order_each_time(
    settings: Settings, kafka: KafkaClient
) -> None:
    await kafka.create_topic(settings.topic, 3)
    texts = [f"text {number} é" for number in range(3000)]
    async with ingesting(settings) as one, ingesting(settings) as other:
        receipts = [await one.send(texts, KEY), await other.send(texts, KEY), await one.send(texts, "other")]
    partition = int.from_bytes(hashlib.sha256(KEY.encode()).digest(), "big") % 3
    assert receipts[0].ends == {partition: len(texts)}
    records = await kafka.read_all(settings.topic)
    of_key = [record for record in records if record.partition == partition][: 2 * len(texts)]
    first, again = of_key[: len(texts)], of_key[len(texts) :]
    assert [record.value.decode() for record in first] == texts
    assert ids(first) == ids(again)
    assert len({*ids(records)}) == 2 * len(texts)
    assert {len(one) for one in ids(records)} == {16}


async def test_a_text_of_json_is_where_the_pointers_say(settings: Settings, kafka: KafkaClient) -> None:
    await kafka.create_topic(settings.topic)
    wrapped = settings.model_copy(
        update={"value_format": "json", "json_pointer": "/message/text", "timestamp": "/at"}
    )
    async with ingesting(wrapped) as ingest:
        await ingest.send(['a "b"'], KEY)
    (record,) = await kafka.read_all(settings.topic)
    assert record.value == b'{"at":%d,"message":{"text":"a \\"b\\""}}' % record.timestamp
    assert abs(record.timestamp / 1000 - time.time()) < 60
    bare = hashlib.sha256(b"\0\0\0\x0aorder-4711" + b"\0\0\0\4\0\0\0\0" + b'\0\0\0\5a "b"').digest()[:16]
    assert ids([record]) == [bare]


async def test_a_text_that_is_too_long_sends_nothing(settings: Settings, kafka: KafkaClient) -> None:
    await kafka.create_topic(settings.topic)
    async with ingesting(settings) as ingest:
        with pytest.raises(TextTooLongError, match="text 2 makes a record of 1,000,001 bytes"):
            await ingest.send(["a", "x" * 1_000_001], None)
        with pytest.raises(TextTooLongError, match="more than 1,024"):
            await KafkaIngest(settings.model_copy(update={"max_record_bytes": 1024})).send(["x" * 1025], None)
        assert (await ingest.send(["x" * 1_000_000], KEY)).accepted == 1
    assert len(await kafka.read_all(settings.topic)) == 1


async def test_what_the_topic_refuses_is_told_with_the_remedy_and_hinders_nobody_afterwards(
    settings: Settings, kafka: KafkaClient
) -> None:
    await kafka.create_topic(settings.topic, 1, {"max.message.bytes": "100000"})
    small, large = [f"{number:0100}" for number in range(2000)], os.urandom(200_000).hex()
    async with ingesting(settings) as ingest:
        for _ in range(2):
            with pytest.raises(NotDeliveredError, match=r"raise max\.message\.bytes of the topic") as refused:
                await ingest.send([*small, large], None)
            assert (refused.value.accepted, refused.value.in_doubt) == (len(small), 0)
            assert (await ingest.send(["small"], None)).accepted == 1
    sent = Counter(record.value for record in await kafka.read_all(settings.topic))
    assert sent[b"small"] == 2


async def test_a_text_that_the_topic_refuses_makes_no_other_request_fail(
    settings: Settings, kafka: KafkaClient
) -> None:
    """Requests of many batches are under way while others are refused, each of which costs the producer."""
    await kafka.create_topic(settings.topic, 4, {"max.message.bytes": "100000"})
    texts = [f"text {number} " + os.urandom(40).hex() for number in range(6000)]
    async with ingesting(settings) as ingest:
        refusals = 0

        async def refused() -> None:
            nonlocal refusals
            while not good.done():
                # Its key leads to a partition of its own, where a refusal spoils the numbers of later batches.
                with pytest.raises(NotDeliveredError, match="takes no batch as large"):
                    await ingest.send([os.urandom(75_000).hex()], SPOILT)
                refusals += 1

        good = asyncio.gather(*(ingest.send(texts, key) for key in keys_elsewhere(SPOILT, 4, 6)))
        await refused()
        receipts = await good
    assert refusals > 1
    assert [receipt.accepted for receipt in receipts] == [len(texts)] * 6
    records = await kafka.read_all(settings.topic)
    assert Counter(record.value.decode() for record in records) == Counter(texts * 6)
    for partition in range(4):
        by_key = [ids([record])[0] for record in records if record.partition == partition]
        assert len(by_key) == len({*by_key})


def keys_elsewhere(key: str, partitions: int, count: int) -> list[str]:
    """Return keys whose partition is another one than that of `key`."""
    taken = partition_of(key, partitions)
    keys = (f"good-{number}" for number in itertools.count())
    return list(itertools.islice((one for one in keys if partition_of(one, partitions) != taken), count))


async def test_more_requests_at_a_time_are_refused_and_all_others_are_delivered_once(
    settings: Settings, kafka: KafkaClient
) -> None:
    await kafka.create_topic(settings.topic, 3)
    async with ingesting(settings) as ingest:
        sends = [ingest.send([f"text {number}"], None) for number in range(2 * MOST_AT_ONCE)]
        results = await asyncio.gather(*sends, return_exceptions=True)
        accepted = [number for number, result in enumerate(results) if not isinstance(result, Exception)]
        assert len(accepted) == MOST_AT_ONCE
        assert {type(results[number]) for number in range(len(results)) if number not in accepted} == {
            OverloadedError
        }
        assert (await ingest.send(["later"], None)).accepted == 1
    sent = sorted(record.value.decode() for record in await kafka.read_all(settings.topic))
    assert sent == sorted(["later", *(f"text {number}" for number in accepted)])


async def test_the_end_waits_for_texts_under_way_and_takes_no_more(
    settings: Settings, kafka: KafkaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.produce.ingest.STOP_S", 20.0)  # two busy cores may need more than a second
    await kafka.create_topic(settings.topic)
    ingest = KafkaIngest(settings)
    sending = asyncio.create_task(ingest.send(["x" * 1000] * 5000, KEY))
    await asyncio.sleep(0)
    await ingest.close()
    with pytest.raises(NotReadyError, match="stops"):
        await ingest.send(["late"], None)
    assert (await sending).accepted == 5000
    assert len(await kafka.read_all(settings.topic)) == 5000
    await KafkaIngest(settings).close()


async def test_brokers_that_do_not_answer_leave_texts_in_doubt_in_time_and_delay_no_end(
    tmp_path: Path,
    broker: EmbeddedBroker,  # has filled the cache of jars
    kafka_at: Callable[[str], KafkaClient],
) -> None:
    with EmbeddedBroker(tmp_path / "broker") as mortal:
        settings = load_settings(
            bootstrap_servers=mortal.bootstrap_servers, topic="texts", request_timeout_ms=1000
        )
        kafka = kafka_at(mortal.bootstrap_servers)
        await kafka.create_topic("texts", 2)
        ingest = KafkaIngest(settings)
        patient = KafkaIngest(settings.model_copy(update={"request_timeout_ms": 30_000}))
        for one in (ingest, patient):
            assert (await one.send(["before"], None)).accepted == 1
        os.kill(mortal.pid, signal.SIGSTOP)
        try:
            for in_doubt in (2, 0):  # a producer that failed is replaced, and the next one cannot even start
                started = time.monotonic()
                with pytest.raises(
                    NotDeliveredError, match=f"0 of 2 texts are confirmed, {in_doubt} in doubt"
                ):
                    await ingest.send(["perhaps", "or not"], KEY)
                assert time.monotonic() - started < 2 + BUSY_S
            sending = asyncio.create_task(patient.send(["at the end"], KEY))
            while not patient._under_way:
                await asyncio.sleep(0.01)
            started = time.monotonic()
            await patient.close()
            assert time.monotonic() - started < 2 * STOP_S + BUSY_S
            with pytest.raises(
                NotDeliveredError, match="0 of 1 texts are confirmed, 1 in doubt: this worker stops"
            ):
                await sending
            await ingest.close()
        finally:
            os.kill(mortal.pid, signal.SIGCONT)
        async with ingesting(settings.model_copy(update={"request_timeout_ms": 10_000})) as again:
            assert (await again.send(["perhaps", "or not"], KEY)).accepted == 2
        sent = {record.value for record in await kafka.read_all("texts")}
        assert {b"before", b"or not", b"perhaps"} <= sent
