"""Topics that `wordcount topics` or the start of a worker creates, extends or refuses, and the errors when no broker answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from app.config.settings import Settings
from app.kafka.topics import TopicReport, ensure_topics
from tables.errors import BrokerUnavailableError, ConfigurationError, WordcountError
from tests.integration.commands import Wordcount

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient


def states(found: TopicReport) -> list[tuple[str, int, str]]:
    return [
        (state.name, state.partitions, state.came)
        for state in (found.input, found.changelog, found.dead_letters)
    ]


async def test_topics_create_makes_what_is_missing_once(wordcount: Wordcount, kafka: KafkaClient) -> None:
    arguments = ("topics", "create", "--group", "g", "--partitions", "5")
    names = [wordcount.topic, f"g-{wordcount.topic}-changelog", f"g-{wordcount.topic}-dead-letters"]
    for came in ("created", "existed"):
        done = wordcount(*arguments, create_topics="false")  # a setting for workers only
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
        assert await admin.topic_config(made.dead_letters.name, "message.timestamp.type") == "LogAppendTime"
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


async def test_a_wrong_security_protocol_is_told_as_one(
    wordcount: Wordcount,
) -> None:
    done = wordcount(
        "topics",
        "create",
        security_protocol="SASL_PLAINTEXT",
        sasl_username="alice",
        sasl_password="secret-phrase",
    )
    assert done.returncode == 2
    assert b"has no logins at that port" in done.stderr
    assert b"WORDCOUNT_SECURITY_PROTOCOL" in done.stderr
    assert b"secret-phrase" not in done.stderr
