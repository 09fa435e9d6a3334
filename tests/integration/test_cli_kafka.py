"""The commands that speak to a broker, each in a process of its own as a user runs them."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from app.kafka.embedded import EmbeddedBroker
from app.kafka.line_producer import MAX_LINE_BYTES, Report, produce_lines
from app.kafka.topics import TopicReport, ensure_topics
from app.settings import Settings, load_settings
from tables.errors import BrokerUnavailableError, ConfigurationError, WordcountError

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]
DEADLINE_S = 60
REPORT = re.compile(
    r"sent ([\d,]+) lines \(([\d,]+) bytes\) to (\S+), ([\d,]+) acknowledged, in [\d.]+ s: [\d,]+ lines/s\n"
)


class Wordcount:
    """Runs commands against the broker at `bootstrap_servers`, on topic and group of one test."""

    def __init__(self, bootstrap_servers: str, topic: str, folder: Path) -> None:
        self.topic = topic
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WORDCOUNT_")},
            "PYTHONPATH": str(ROOT),
            "WORDCOUNT_BOOTSTRAP_SERVERS": bootstrap_servers,
            "WORDCOUNT_TOPIC": topic,
            "WORDCOUNT_HTTP_PORT": "0",
        }

    def __call__(
        self, *arguments: str, stdin: bytes = b"", **settings: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment | {f"WORDCOUNT_{name.upper()}": value for name, value in settings.items()},
            input=stdin,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture
def wordcount(broker: EmbeddedBroker, topic_name: str, tmp_path: Path) -> Wordcount:
    return Wordcount(broker.bootstrap_servers, topic_name, tmp_path)


@pytest.fixture
def settings(
    broker: EmbeddedBroker, topic_name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(bootstrap_servers=broker.bootstrap_servers, topic=topic_name, partitions=3)


def report(done: subprocess.CompletedProcess[bytes]) -> tuple[int, int, int]:
    """Lines, bytes and acknowledged lines that `produce` reports."""
    found = REPORT.fullmatch(done.stdout.decode())
    assert found, done
    lines, byte_count, acknowledged = (int(found[group].replace(",", "")) for group in (1, 2, 4))
    return lines, byte_count, acknowledged


def sent_well(done: subprocess.CompletedProcess[bytes]) -> tuple[int, int, int]:
    assert (done.returncode, done.stderr) == (0, b""), done
    return report(done)


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
    longest = b"x" * MAX_LINE_BYTES
    (wordcount.folder / "text").write_bytes(
        b"first\n" + longest + b"\n" + b"y" * (MAX_LINE_BYTES + extra_bytes) + b"\nlast\n"
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


async def test_progress_tells_what_was_sent_and_acknowledged(settings: Settings, kafka: KafkaClient) -> None:
    await kafka.create_topic(settings.topic)
    seen: list[Report] = []
    final = await produce_lines(
        settings, (b"%d" % number for number in range(200_000)), on_progress=seen.append
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
    monkeypatch.setattr("app.kafka.line_producer.STALL_TIMEOUT_S", 2.0)
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
            await produce_lines(settings, lines(), on_progress=seen.append)
    assert 0 < seen[-1].acknowledged < seen[-1].lines


def states(found: TopicReport) -> list[tuple[str, int, str]]:
    return [
        (state.name, state.partitions, state.came)
        for state in (found.input, found.changelog, found.dead_letters)
    ]


async def test_topics_create_makes_what_is_missing_once(wordcount: Wordcount, kafka: KafkaClient) -> None:
    arguments = ("topics", "create", "--group", "g", "--partitions", "5")
    names = [wordcount.topic, f"g-{wordcount.topic}-changelog", f"g-{wordcount.topic}-dead-letters"]
    for came in ("created", "existed"):
        done = wordcount(*arguments, create_topics="false")  # which is about workers
        assert done.returncode == 0, done
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        assert [line[0] for line in lines] == [came] * 3
        assert [line[-3:] for line in lines] == [[name, "(5", "partitions)"] for name in names]
    assert len(await kafka.produce(names[1], [b"x"], keys=[b"k"], partition=4)) == 1


async def test_a_new_changelog_is_compacted_after_the_lag_of_the_settings(settings: Settings) -> None:
    from app.kafka.admin import open_admin

    made = await ensure_topics(settings.model_copy(update={"compaction_lag_ms": 12_345}))
    async with open_admin(settings) as admin:
        assert await admin.topic_config(made.changelog.name, "cleanup.policy") == "compact"
        assert await admin.topic_config(made.changelog.name, "min.compaction.lag.ms") == "12345"
        assert await admin.topic_config(made.changelog.name, "message.timestamp.type") == "LogAppendTime"
        assert await admin.topic_config(made.dead_letters.name, "cleanup.policy") == "delete"


async def test_several_workers_may_create_the_topics_at_once(settings: Settings) -> None:
    reports = await asyncio.gather(*(ensure_topics(settings) for _ in range(6)))
    assert {found.partitions for found in reports} == {3}
    for position in range(3):
        came = sorted(states(found)[position][2] for found in reports)
        assert came == ["created", *["existed"] * 5]


async def test_a_changelog_with_fewer_partitions_than_the_input_is_extended(
    settings: Settings, kafka: KafkaClient
) -> None:
    await kafka.create_topic(settings.topic, 4)
    changelog = f"wordcount-{settings.topic}-changelog"
    await kafka.create_topic(changelog, 2, {"cleanup.policy": "compact"})
    with pytest.raises(
        ConfigurationError, match=rf"{changelog}.* too few .*--alter --topic {changelog} --partitions 4"
    ):
        await ensure_topics(settings.model_copy(update={"create_topics": False}))
    reports = await asyncio.gather(*(ensure_topics(settings) for _ in range(3)))
    assert {states(found)[1][:2] for found in reports} == {(changelog, 4)}
    assert sorted(found.changelog.came for found in reports) == ["existed", "existed", "extended"]


async def test_a_changelog_with_more_partitions_than_the_input_is_refused(
    settings: Settings, kafka: KafkaClient
) -> None:
    await kafka.create_topic(settings.topic, 2)
    await kafka.create_topic(f"wordcount-{settings.topic}-changelog", 5, {"cleanup.policy": "compact"})
    with pytest.raises(ConfigurationError, match=r"changelog\" has 5 partitions, but input topic .* has 2: "):
        await ensure_topics(settings)


async def test_a_changelog_that_deletes_is_refused_by_worker_and_doctor(
    wordcount: Wordcount, settings: Settings, kafka: KafkaClient
) -> None:
    changelog = f"wordcount-{settings.topic}-changelog"
    await kafka.create_topic(settings.topic, 1)
    await kafka.create_topic(changelog, 1, {"cleanup.policy": "delete"})
    with pytest.raises(ConfigurationError, match=rf"kafka-configs.sh .*--entity-name {changelog}"):
        await ensure_topics(settings)
    examined = examine(wordcount)
    assert examined["changelog compaction"]["status"] == "fail"
    assert "cleanup.policy=delete" in examined["changelog compaction"]["detail"]


async def test_a_replication_factor_that_the_brokers_cannot_give_is_named(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot create topic .*WORDCOUNT_REPLICATION_FACTOR is 3"):
        await ensure_topics(settings.model_copy(update={"replication_factor": 3}))


async def test_without_a_broker_the_address_is_named_soon(settings: Settings) -> None:
    started = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match=r'WORDCOUNT_BOOTSTRAP_SERVERS="127.0.0.1:9" \('):
        await ensure_topics(settings.model_copy(update={"bootstrap_servers": "127.0.0.1:9"}))
    assert time.monotonic() - started < 12


async def test_a_server_that_never_answers_is_given_up_after_ten_seconds(settings: Settings) -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(WordcountError, match=address):
            await ensure_topics(settings.model_copy(update={"bootstrap_servers": address}))
        assert time.monotonic() - started < 15


def examine(wordcount: Wordcount, *, code: int = 1, **settings: str) -> dict[str, dict[str, str]]:
    done = wordcount("doctor", "--json", **settings)
    assert done.returncode == code, done
    return {check["name"]: check for check in json.loads(done.stdout)}


async def test_doctor_finds_everything_in_order_where_it_is(wordcount: Wordcount) -> None:
    assert wordcount("topics", "create").returncode == 0
    examined = examine(wordcount, code=0)
    assert {check["status"] for check in examined.values()} == {"ok"}
    assert wordcount.environment["WORDCOUNT_BOOTSTRAP_SERVERS"] in examined["broker"]["detail"]
    assert examined["partition counts"]["detail"] == "input and changelog have 8 each"
    assert (
        examined[f"rights on topic wordcount-{wordcount.topic}-changelog"]["detail"]
        == "Describe, Read, Write"
    )
    assert examined["rights on group wordcount"]["detail"] == "Describe, Read"


async def test_doctor_creates_nothing_and_tells_what_would_be(wordcount: Wordcount) -> None:
    for _ in range(2):
        assert examine(wordcount, code=0)[f"topic {wordcount.topic}"]["status"] == "warn"
    strict = examine(wordcount, create_topics="false")[f"topic {wordcount.topic}"]
    assert (strict["status"], strict["remedy"]) == ("fail", "run: wordcount topics create")


async def test_doctor_compares_partitions_and_warns_of_a_compacted_input(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic, 3, {"cleanup.policy": "compact"})
    await kafka.create_topic(f"wordcount-{wordcount.topic}-changelog", 2, {"cleanup.policy": "compact"})
    examined = examine(wordcount, code=0)
    assert examined["partition counts"]["status"] == "warn"
    assert examined["input retention"]["status"] == "warn"
    assert examined["changelog compaction"]["status"] == "warn"  # the lag of the settings is not set
    assert examine(wordcount, create_topics="false")["partition counts"]["status"] == "fail"


TOPIC, GROUP = 2, 3
READ = 3


class StrictBroker:
    """A broker with an authorizer, on which a resource is free for all until it has its first rule."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    async def allow_only(self, resource: int, name: str, operation: int, user: str = "ANONYMOUS") -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        rule = CreateAclsRequest(resource, name, 3, f"User:{user}", "*", operation, 3)
        try:
            answer = await admin._send_request(rule)
        finally:
            await admin.close()
        assert [code for code, *_ in answer.creation_responses] == [0]


@pytest.fixture(scope="module")
def strict_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrictBroker]:
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with EmbeddedBroker(tmp_path_factory.mktemp("strict"), settings=rules) as running:
        yield StrictBroker(running.bootstrap_servers)


async def test_a_missing_right_is_named_by_doctor_and_by_the_command_that_needs_it(
    strict_broker: StrictBroker, topic_name: str, tmp_path: Path
) -> None:
    wordcount = Wordcount(strict_broker.bootstrap_servers, topic_name, tmp_path)
    changelog = f"wordcount-{topic_name}-changelog"
    assert wordcount("topics", "create").returncode == 0
    for _ in range(5):  # A new broker makes the topic of its coordinators when one is first asked for.
        not_ok = [check for check in examine(wordcount, code=0).values() if check["status"] != "ok"]
        if not not_ok:
            break
    assert not_ok == []

    await strict_broker.allow_only(TOPIC, changelog, READ)
    await strict_broker.allow_only(TOPIC, topic_name, READ)
    await strict_broker.allow_only(GROUP, "wordcount", READ, user="somebody-else")
    examined = examine(wordcount)
    assert {name for name, check in examined.items() if check["status"] == "fail"} == {
        f"rights on topic {changelog}",
        "rights on group wordcount",
    }
    assert examined["changelog compaction"]["status"] == "warn"  # which needs DescribeConfigs
    denied = examined[f"rights on topic {changelog}"]
    assert (denied["detail"], denied["remedy"]) == ("missing: Write", f'grant Write on topic "{changelog}"')
    assert examined["rights on group wordcount"]["detail"] == "missing: Describe, Read"

    done = wordcount("produce", stdin=b"a line\n")
    assert done.returncode == 2
    assert f'this user may not write to topic "{topic_name}"'.encode() in done.stderr
    assert report(done) == (1, 6, 0)


async def test_a_topic_that_may_not_be_described_is_named(
    strict_broker: StrictBroker, topic_name: str, tmp_path: Path
) -> None:
    wordcount = Wordcount(strict_broker.bootstrap_servers, topic_name, tmp_path)
    await strict_broker.allow_only(TOPIC, topic_name, READ, user="somebody-else")
    done = wordcount("produce", stdin=b"a line\n")
    assert done.returncode == 2
    assert (
        f'wordcount: this user may not describe topic "{topic_name}"; grant Describe'.encode() in done.stderr
    )
    assert examine(wordcount)[f"topic {topic_name}"]["status"] == "fail"


async def test_a_wrong_security_protocol_is_told_as_a_broker_that_does_not_answer(
    wordcount: Wordcount,
) -> None:
    done = wordcount(
        "topics",
        "create",
        security_protocol="SASL_PLAINTEXT",
        sasl_username="alice",
        sasl_password="secret-phrase",
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"wordcount: no broker answers at WORDCOUNT_BOOTSTRAP_SERVERS=")
    assert b"security settings" in done.stderr
    assert b"secret-phrase" not in done.stderr
