"""The command `wordcount produce` on a real broker."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from app.config.loading import load_settings
from app.config.settings import Settings
from app.local.embedded import EmbeddedBroker
from app.produce.delivery import MAX_VALUE_BYTES
from app.produce.line_producer import Report, produce_blocks
from app.produce.text_files import LineBlock
from tables.errors import BrokerUnavailableError
from tests.integration.commands import DEADLINE_S, Wordcount, report, sent_well

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

FOR_EVER = {"retention.ms": "-1"}
"""A topic with this configuration keeps records with old times."""

CREATE_TIME = 0


def values(records: list[Any]) -> list[bytes]:
    return [record.value for record in records]


async def test_lines_become_records_without_their_ends(wordcount: Wordcount, kafka: KafkaClient) -> None:
    (wordcount.folder / "text").write_bytes(b"one\r\ntwo\n\nfo\rur\n\xff\xfe\nlast")
    assert sent_well(wordcount("produce", "text")) == (6, 17, 6)
    records = await kafka.read_all(wordcount.topic)
    assert values(records) == [b"one", b"two", b"", b"fo\rur", b"\xff\xfe", b"last"]
    assert {record.key for record in records} == {None}


async def test_files_are_sent_in_order_unpacked_and_as_often_as_asked(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    (wordcount.folder / "a").write_bytes(b"plain\n")
    (wordcount.folder / "b.gz").write_bytes(gzip.compress(b"gzip 1\ngzip 2"))
    (wordcount.folder / "c.zst").write_bytes(zstandard.compress(b"zstandard\n"))
    assert sent_well(wordcount("produce", "a", "b.gz", "c.zst", "--loop", "2"))[0] == 8
    assert values(await kafka.read_all(wordcount.topic)) == [b"plain", b"gzip 1", b"gzip 2", b"zstandard"] * 2


@pytest.mark.parametrize("arguments", [[], ["-"]])
async def test_standard_input_is_sent(wordcount: Wordcount, kafka: KafkaClient, arguments: list[str]) -> None:
    assert sent_well(wordcount("produce", *arguments, stdin=b"from\nstdin\n")) == (2, 9, 2)
    assert values(await kafka.read_all(wordcount.topic)) == [b"from", b"stdin"]


async def test_nothing_to_send_is_a_success(wordcount: Wordcount) -> None:
    assert sent_well(wordcount("produce")) == (0, 0, 0)


async def test_many_lines_spread_over_all_partitions_in_large_batches(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    lines = [
        b"line %06d with a few words in it, sixty bytes of text or so" % number for number in range(60_000)
    ]
    (wordcount.folder / "text").write_bytes(b"\n".join(lines))
    assert sent_well(wordcount("produce", "text"))[2] == len(lines)
    records = await kafka.read_all(wordcount.topic)
    assert sorted(values(records)) == lines
    per_partition = [sum(record.partition == partition for record in records) for partition in range(8)]
    assert min(per_partition) > len(lines) / 16
    for partition in range(8):  # a partition keeps the order of the file
        own = [record.value for record in records if record.partition == partition]
        assert own == sorted(own)


async def test_a_key_is_on_every_record_and_chooses_the_partition(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    assert sent_well(wordcount("produce", "--key", "schlüssel", stdin=b"a\nb\n" * 5000))[2] == 10_000
    records = await kafka.read_all(wordcount.topic)
    assert {record.key for record in records} == {"schlüssel".encode()}
    [other] = await kafka.produce(wordcount.topic, [b"c"], keys=["schlüssel".encode()])
    assert {record.partition for record in records} == {other[0]}


async def test_a_rate_is_kept(wordcount: Wordcount, kafka: KafkaClient) -> None:
    started = time.monotonic()
    assert sent_well(wordcount("produce", "--rate", "100", stdin=b"x\n" * 150))[2] == 150
    assert time.monotonic() - started > 1.4
    records = await kafka.read_all(wordcount.topic)
    times_ms = [record.timestamp for record in records]
    assert 1300 < max(times_ms) - min(times_ms) < 20_000
    assert len({record.partition for record in records}) == 8


async def test_a_line_of_a_slow_pipe_is_sent_before_the_next_one_comes(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic)
    with wordcount.start("produce") as producing:
        assert producing.stdin is not None
        producing.stdin.write(b"early\n")
        producing.stdin.flush()
        async with asyncio.timeout(DEADLINE_S):
            while values(await kafka.read_all(wordcount.topic)) != [b"early"]:
                await asyncio.sleep(0.05)
        producing.stdin.write(b"late")
        producing.stdin.close()
        assert producing.wait(DEADLINE_S) == 0
    assert values(await kafka.read_all(wordcount.topic)) == [b"early", b"late"]


async def test_ctrl_c_ends_a_producer_that_waits_for_input(wordcount: Wordcount, kafka: KafkaClient) -> None:
    await kafka.create_topic(wordcount.topic)
    with wordcount.start("produce") as producing:
        assert producing.stdin is not None
        assert producing.stdout is not None
        assert producing.stderr is not None
        producing.stdin.write(b"a line\n")
        producing.stdin.flush()
        async with asyncio.timeout(DEADLINE_S):
            while not await kafka.read_all(wordcount.topic):
                await asyncio.sleep(0.05)
        producing.send_signal(signal.SIGINT)
        assert producing.wait(DEADLINE_S) == 130
        assert producing.stderr.read() == b""
        assert b"sent 1 lines (6 bytes)" in producing.stdout.read()


async def test_lines_get_the_times_that_stand_in_them(wordcount: Wordcount, kafka: KafkaClient) -> None:
    await kafka.create_topic(wordcount.topic, 8, FOR_EVER)
    times_ms = [1_000_000_000_000 + 86_400_000 * (number % 1000) for number in range(20_000)]
    lines = [b'{"n":%d,"at":[%d]}' % (number, time_ms) for number, time_ms in enumerate(times_ms)]
    (wordcount.folder / "text").write_bytes(b"\n".join(lines))
    assert sent_well(wordcount("produce", "--timestamps", "/at/0", "text"))[2] == len(lines)
    records = await kafka.read_all(wordcount.topic)
    found = {record.value: record.timestamp for record in records}
    assert found == dict(zip(lines, times_ms, strict=True))
    assert len({record.partition for record in records}) > 1
    assert {record.timestamp_type for record in records} == {CREATE_TIME}


async def test_a_column_is_the_time_of_what_is_left_of_its_line(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic, 1, FOR_EVER)
    text = b"one two\t2024-05-06T12:00:00+02:00\tthree\n\t1700000000.5\n"
    assert sent_well(wordcount("produce", "--timestamps", "2", stdin=text)) == (2, 13, 2)
    records = await kafka.read_all(wordcount.topic)
    assert [(record.value, record.timestamp) for record in records] == [
        (b"one two\tthree", 1_714_989_600_000),
        (b"", 1_700_000_000_500),
    ]


async def test_lines_are_sent_as_their_times_say_or_faster(wordcount: Wordcount, kafka: KafkaClient) -> None:
    await kafka.create_topic(wordcount.topic, 1, FOR_EVER)
    text = b"5000\tfirst\n5090\tlater\n4000\tback\n5100\tlast\n"
    started = time.monotonic()
    done = wordcount("produce", "--timestamps", "1", "--speed", "50", stdin=text)
    assert sent_well(done)[2] == 4
    assert time.monotonic() - started > 2
    records = await kafka.read_all(wordcount.topic)
    assert values(records) == [b"first", b"later", b"back", b"last"]
    assert [record.timestamp for record in records] == [5_000_000, 5_090_000, 4_000_000, 5_100_000]


async def test_a_line_is_there_while_the_next_one_waits_for_its_time(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic, 1, FOR_EVER)
    (wordcount.folder / "text").write_bytes(b"0\tearly\n86400\ta day later\n")
    with wordcount.start("produce", "--timestamps", "1", "--speed", "1", "text") as producing:
        assert producing.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while values(await kafka.read_all(wordcount.topic)) != [b"early"]:
                await asyncio.sleep(0.05)
        producing.send_signal(signal.SIGINT)
        assert producing.wait(DEADLINE_S) == 130
        assert b"sent 1 lines (5 bytes)" in producing.stdout.read()


async def test_a_line_without_a_usable_time_is_named_and_what_is_before_it_is_sent(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic, 1, FOR_EVER)
    (wordcount.folder / "a").write_bytes(b'{"time":5}\n')
    (wordcount.folder / "b").write_bytes(b'{"time":6}\n{"time":"\\u001b[2Jsoon"}\n{"time":7}\n')
    done = wordcount("produce", "--timestamps", "/time", "a", "b")
    assert done.returncode == 2
    assert done.stderr == (
        b'wordcount: b, line 2: "\\u001b[2Jsoon" at /time is no time; times are ISO 8601 or numbers since 1970: '
        b"correct or remove the line; the lines before it were sent\n"
    )
    assert report(done) == (2, 20, 2)
    assert values(await kafka.read_all(wordcount.topic)) == [b'{"time":5}', b'{"time":6}']


async def test_a_line_that_the_brokers_would_delete_for_its_age_is_refused(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic, 1, {"retention.ms": "3600000"})
    kept_s = int(time.time()) - 600
    text = b"%d\tkept\n%d\told\n%d\tkept\n" % (kept_s, kept_s - 3600, kept_s)
    done = wordcount("produce", "--timestamps", "1", stdin=text)
    assert done.returncode == 2
    assert b"line 2" in done.stderr
    assert b"set retention.ms of the topic to -1" in done.stderr
    assert values(await kafka.read_all(wordcount.topic)) == [b"kept"]


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        ({"message.timestamp.type": "LogAppendTime"}, b"set message.timestamp.type=CreateTime of the topic"),
        ({"message.timestamp.before.max.ms": "3600000"}, b"raise message.timestamp.before.max.ms"),
    ],
)
async def test_a_topic_that_does_not_take_the_times_is_told(
    wordcount: Wordcount, kafka: KafkaClient, config: dict[str, str], remedy: bytes
) -> None:
    await kafka.create_topic(wordcount.topic, 1, FOR_EVER | config)
    done = wordcount("produce", "--timestamps", "1", stdin=b"5\ttext\n")
    assert done.returncode == 2
    assert done.stderr.startswith(b'wordcount: topic "%b" ' % wordcount.topic.encode())
    assert remedy in done.stderr
    assert report(done)[0] == 1


async def test_a_missing_file_is_told_before_anything_is_sent(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic)
    (wordcount.folder / "good").write_bytes(b"a line\n")
    done = wordcount("produce", "good", "missing")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b'wordcount: "missing" does not exist; ')
    assert await kafka.read_all(wordcount.topic) == []


@pytest.mark.parametrize("extra_bytes", [1, 20_000_000])
async def test_a_line_that_is_too_long_is_named_and_what_is_before_it_is_sent(
    wordcount: Wordcount, kafka: KafkaClient, extra_bytes: int
) -> None:
    longest = b"x" * MAX_VALUE_BYTES
    (wordcount.folder / "text").write_bytes(
        b"first\n" + longest + b"\n" + b"y" * (MAX_VALUE_BYTES + extra_bytes) + b"\nlast\n"
    )
    done = wordcount("produce", "text")
    assert done.returncode == 2
    assert done.stderr.startswith(b"wordcount: text, line 3 is longer than 1,000,000 bytes")
    assert report(done)[2] == 2
    assert sorted(values(await kafka.read_all(wordcount.topic))) == [b"first", longest]


async def test_a_damaged_file_fails_after_what_could_be_read_is_sent(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    text = b"".join(b"%d\n" % number for number in range(200_000))
    (wordcount.folder / "text.gz").write_bytes(gzip.compress(text)[:-100])
    done = wordcount("produce", "text.gz")
    assert done.returncode == 2
    assert b"text.gz cannot be read beyond line " in done.stderr
    lines, _, acknowledged = report(done)
    assert lines == acknowledged == len(await kafka.read_all(wordcount.topic)) > 100_000


async def test_a_missing_topic_that_may_not_be_created_is_told_with_the_commands(
    wordcount: Wordcount,
) -> None:
    done = wordcount("produce", stdin=b"a\n", create_topics="false", replication_factor="1")
    assert done.returncode == 2
    address = wordcount.environment["WORDCOUNT_BOOTSTRAP_SERVERS"]
    assert done.stderr.decode() == (
        f'wordcount: topic "{wordcount.topic}" does not exist and WORDCOUNT_CREATE_TOPICS is false; run: wordcount '
        f"topics create --bootstrap-servers {address} --topic {wordcount.topic} --group wordcount; or: kafka-topics.sh "
        f"--bootstrap-server {address} --create --topic {wordcount.topic} --partitions 8 --replication-factor 1\n"
    )


async def test_a_topic_that_refuses_large_batches_is_told(wordcount: Wordcount, kafka: KafkaClient) -> None:
    await kafka.create_topic(wordcount.topic, config={"max.message.bytes": "1000"})
    (wordcount.folder / "text").write_bytes(os.urandom(20_000).replace(b"\n", b""))
    done = wordcount("produce", "text")
    assert done.returncode == 2
    assert b"raise max.message.bytes of the topic" in done.stderr
    assert b"1 of 1 lines were not acknowledged" in done.stderr
    assert report(done) == (1, report(done)[1], 0)


def blocks_of(lines: Iterable[bytes]) -> Iterator[LineBlock]:
    lines = iter(lines)
    while block := [*islice(lines, 4096)]:
        yield LineBlock("the test", 1, block)


async def test_progress_tells_what_was_sent_and_acknowledged(settings: Settings, kafka: KafkaClient) -> None:
    await kafka.create_topic(settings.topic)
    seen: list[Report] = []
    final = await produce_blocks(
        settings, blocks_of(b"%d" % number for number in range(200_000)), on_progress=seen.append
    )
    assert (final.lines, final.acknowledged) == (200_000, 200_000)
    assert final.byte_count == sum(len(str(number)) for number in range(200_000))
    assert final.lines_per_s > 0
    assert seen[-1].acknowledged == 200_000
    assert [line.lines for line in seen] == sorted(line.lines for line in seen)
    assert all(line.acknowledged <= line.lines for line in seen)


async def test_lines_that_a_dead_broker_did_not_acknowledge_are_an_error_that_counts_them(
    tmp_path: Path,
    broker: EmbeddedBroker,  # has filled the cache of jars
    monkeypatch: pytest.MonkeyPatch,
    kafka_at: Callable[[str], KafkaClient],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("app.produce.line_producer.STALL_TIMEOUT_S", 2.0)
    with EmbeddedBroker(tmp_path / "broker") as mortal:
        settings = load_settings(bootstrap_servers=mortal.bootstrap_servers, topic="mortal")
        await kafka_at(mortal.bootstrap_servers).create_topic("mortal")
        seen: list[Report] = []

        def lines() -> Any:
            for number in range(2_000_000):
                if number == 500_000:
                    mortal.kill()
                yield b"line %d" % number

        with pytest.raises(BrokerUnavailableError, match=r"[\d,]+ of [\d,]+ lines were not acknowledged"):
            await produce_blocks(settings, blocks_of(lines()), on_progress=seen.append)
    assert 0 < seen[-1].acknowledged < seen[-1].lines
