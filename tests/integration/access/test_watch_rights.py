"""Rights on the topic of watches: a worker does not start without, and counts on if they are taken away, until watches can go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


async def test_a_worker_does_not_start_without_rights_on_watches_and_counts_on_if_they_are_taken_away(
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
        file = watches_file(
            tmp_path, receiver.url, ("alarms", 'word = "alarm"', 2), ("calms", 'word = "calm"', 0)
        )
        worker = secured_workers(watches=file)
        created = wordcount(worker, "topics", "create", WORDCOUNT_PARTITIONS="1")
        assert created.returncode == 0, created
        worker.settings |= {f"WORDCOUNT_{name.upper()}": str(value) for name, value in secured.sasl().items()}

        assert await worker.start().ended() == 2
        assert f'{PRINCIPAL} has no right to Describe on topic "{watched}"' in worker.log
        await secured.grant(Right("Describe", "topic", watched))
        assert await worker.start().ended() == 2
        assert f'no right to Read on topic "{watched}", Write on topic "{watched}"' in worker.log
        assert f"--operation Write --topic {watched}" in worker.log

        await secured.grant(read, write)
        await worker.start().wait_ready()
        await kafka.produce(topic_name, [b"alarm"] * 3)
        await wait_for(lambda: told_of(receiver, "alarms"), "the first crossing is delivered")
        await wait_until_told(worker, None)

        await secured.revoke(write)
        await kafka.produce(topic_name, [b"calm"])
        await wait_until_told(worker, f'Write on topic "{watched}"')
        await counts_all(worker, servers)

        await secured.grant(write)
        await wait_until_told(worker, None)
        await wait_for(lambda: told_of(receiver, "calms"), "the second crossing is delivered")
        assert len(receiver.accepted) == 2


async def told_of(receiver: Receiver, watch: str) -> bool:
    """Return whether the receiver was told of a crossing of the watch."""
    return any(event["data"]["watch"] == watch for events in receiver.accepted.values() for event in events)


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
