"""The findings of `wordcount doctor`, among them missing rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from app.config.settings import Settings
from app.kafka.topics import ensure_topics
from app.local.embedded import EmbeddedBroker
from tables.errors import ConfigurationError
from tests.fakes.watches import watches_file
from tests.integration.commands import Wordcount, examine, report

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

TOPIC, GROUP = 2, 3
READ = 3


class StrictBroker:
    """A broker with an authorizer that lets every user use a resource until the resource has its first rule."""

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


async def test_a_topic_of_watches_that_deletes_is_refused_by_worker_and_doctor(
    wordcount: Wordcount, settings: Settings, kafka: KafkaClient, tmp_path: Path
) -> None:
    file = watches_file(tmp_path, "http://127.0.0.1:9/hook", ("alarms", 'word = "alarm"', 2))
    watching = settings.model_copy(update={"watches": file})
    assert wordcount("topics", "create").returncode == 0
    await kafka.create_topic(watching.topics.watches, 1, {"cleanup.policy": "delete"})
    with pytest.raises(
        ConfigurationError, match=rf"kafka-configs.sh .*--entity-name {watching.topics.watches}"
    ):
        await ensure_topics(watching)
    check = examine(wordcount, watches=str(watching.watches))["watches compaction"]
    assert (check["status"], "cleanup.policy=delete" in check["detail"]) == ("fail", True)
    await kafka.alter_topic(watching.topics.watches, {"cleanup.policy": "compact"})
    assert examine(wordcount, code=0, watches=str(watching.watches))["watches compaction"]["status"] == "ok"


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


async def test_doctor_tells_the_rules_of_windows_and_whose_clock_the_times_are_of(
    wordcount: Wordcount, kafka: KafkaClient
) -> None:
    await kafka.create_topic(wordcount.topic, 1, {"message.timestamp.type": "LogAppendTime"})
    assert "windows" not in examine(wordcount, code=0)
    check = examine(wordcount, code=0, windows="1m")["windows"]
    assert check["status"] == "ok"
    assert check["detail"].startswith("1m: grace 6s, kept 1d; times are those of the broker's clock")


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
    # The topic does not have the compaction lag of the settings.
    assert examined["changelog compaction"]["status"] == "warn"
    assert examine(wordcount, create_topics="false")["partition counts"]["status"] == "fail"


async def test_a_missing_right_is_named_by_doctor_and_by_the_command_that_needs_it(
    strict_broker: StrictBroker, topic_name: str, tmp_path: Path
) -> None:
    wordcount = Wordcount(strict_broker.bootstrap_servers, topic_name, tmp_path)
    changelog = f"wordcount-{topic_name}-changelog"
    assert wordcount("topics", "create").returncode == 0
    for _ in range(5):  # A new broker has no group coordinator until asked for one.
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
    assert examined["changelog compaction"]["status"] == "warn"  # the check needs DescribeConfigs
    denied = examined[f"rights on topic {changelog}"]
    assert denied["detail"] == "missing: Write"
    assert denied["remedy"].endswith(
        f"--add --allow-principal User:ANONYMOUS --operation Write --topic {changelog}"
    )
    sending = examine(wordcount, ingest="true")[f"rights on topic {topic_name}"]
    assert (sending["status"], sending["detail"]) == ("fail", "missing: Write")
    assert sending["remedy"].endswith(f"--operation Write --topic {topic_name}")
    # The detail must not say that the broker is too old to report rights.
    detail = examined["rights on group wordcount"]["detail"]
    assert detail.startswith("missing: Describe, Read; this user may not even see it")

    done = wordcount("produce", stdin=b"a line\n")
    assert done.returncode == 2
    assert f'has no right to Write on topic "{topic_name}"; run: kafka-acls.sh'.encode() in done.stderr
    assert report(done) == (1, 6, 0)


async def test_a_topic_that_may_not_be_described_is_named(
    strict_broker: StrictBroker, topic_name: str, tmp_path: Path
) -> None:
    wordcount = Wordcount(strict_broker.bootstrap_servers, topic_name, tmp_path)
    await strict_broker.allow_only(TOPIC, topic_name, READ, user="somebody-else")
    done = wordcount("produce", stdin=b"a line\n")
    assert done.returncode == 2
    line = f'wordcount: User:ANONYMOUS has no right to Describe on topic "{topic_name}"; run: kafka-acls.sh'
    assert line.encode() in done.stderr
    examined = examine(wordcount)
    assert examined[f"topic {topic_name}"]["status"] == "fail"
    rights = examined[f"rights on topic {topic_name}"]
    assert (rights["status"], "does not report" in rights["detail"]) == ("fail", False)
    assert rights["detail"].startswith("missing: Describe, Read; this user may not even see it")
