"""Rights on the topic of watches: a worker names what is missing, counts on, and tells every crossing when it has the rights again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tables.kafka.rights import Right
from tables.model.names import changelog_topic, dead_letter_topic, watches_topic
from tests.fakes.receiver import Receiver
from tests.fakes.watches import watches_file
from tests.integration.conftest import KafkaClient, Workers
from tests.integration.operator_tools import wordcount
from tests.integration.secured import PRINCIPAL
from tests.integration.worker import counts_of, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.secured import SecuredBroker
    from tests.integration.worker import Worker


async def test_watches_without_their_rights_say_so_and_go_on_when_they_have_them(
    secured: SecuredBroker, secured_workers: Workers, topic_name: str, tmp_path: Path
) -> None:
    group, servers = secured_workers.group, secured.open_servers
    watched = watches_topic(group, topic_name)
    read, write = Right("Read", "topic", watched), Right("Write", "topic", watched)
    kafka = KafkaClient(servers)
    await secured.grant(
        Right("Read", "topic", topic_name),
        *(Right(operation, "topic", changelog_topic(group, topic_name)) for operation in ("Read", "Write")),
        Right("Write", "topic", dead_letter_topic(group, topic_name)),
        Right("Read", "group", group),
    )
    async with Receiver(failing=0, seed=1) as receiver:
        file = watches_file(tmp_path, receiver.url, ("alarms", 'word = "alarm"', 2))
        worker = secured_workers(watches=file)
        created = wordcount(worker, "topics", "create", WORDCOUNT_PARTITIONS="1")
        assert created.returncode == 0, created
        worker.settings |= {f"WORDCOUNT_{name.upper()}": str(value) for name, value in secured.sasl().items()}

        assert await worker.start().ended() == 2
        assert f'{PRINCIPAL} has no right to Describe on topic "{watched}"' in worker.log
        assert f"--operation Describe --topic {watched}" in worker.log

        await secured.grant(Right("Describe", "topic", watched))
        await worker.start().wait_ready()
        await kafka.produce(topic_name, [b"alarm"] * 3)
        await counts_all(worker, servers)
        await wait_until_told(worker, f'Read on topic "{watched}"')
        assert not receiver.accepted

        await secured.grant(read)
        await wait_until_told(worker, f'Write on topic "{watched}"')
        await kafka.produce(topic_name, [b"alarm"])
        await counts_all(worker, servers)

        await secured.grant(write)
        await wait_until_told(worker, None)

        async def delivered() -> bool:
            (watch,) = (await worker.json("/v1/watches"))["watches"]
            return bool(watch["waiting"] == 0 and receiver.accepted)

        await wait_for(delivered, "the crossing is delivered")
        (events,) = receiver.accepted.values()
        assert {(event["data"]["watch"], event["data"]["word"]) for event in events} == {("alarms", "alarm")}
        assert len([key for key in (await values_of(kafka, watched)) if key]) > 0


async def counts_all(worker: Worker, servers: str) -> None:
    topic = worker.settings["WORDCOUNT_TOPIC"]
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)


async def wait_until_told(worker: Worker, part: str | None) -> None:
    """Wait until the watches have a problem with `part`; None = no problem."""

    async def told() -> bool:
        problem = (await worker.json("/v1/watches"))["problem"]
        return problem is None if part is None else part in (problem or "")

    await wait_for(told, f"the watches tell of {part}")


async def values_of(kafka: KafkaClient, topic: str) -> list[Any]:
    return [record.value for record in await kafka.read_all(topic)]
