"""Facts about Faust and aiokafka on which the transport relies; an upgrade of either that changes such a fact fails here.

A Faust app runs in the process of the test, with Wordcount's transport and a stand-in for counts (`tests/integration/bare_app.py`).
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.source.consumer import PACE_S, Fetched
from agents.source.membership import BatchConsumerThread
from tables.clock import now_s
from tables.errors import PartitionsLostError
from tables.fetch import fetching
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tables.model.records import RecordBatch
from tests.integration.worker import wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient
from agents.source.group_map import Card, decode_card
from tests.integration.bare_app import SESSION_S, Start, run_bare_app

VALUES = [b"value %d" % number for number in range(100)]


JUST_BEFORE_S = 0.1
"""The time of a heartbeat is noted just before the heartbeat is sent."""


@pytest.fixture
def start(kafka: KafkaClient, topic_name: str, tmp_path: Path) -> Start:
    """A function that returns a context manager, which runs an app on the topic of this test."""

    return lambda: run_bare_app(kafka, topic_name, tmp_path / "faust")


async def test_only_consumers_with_our_unpacker_get_batches(kafka: KafkaClient, topic_name: str) -> None:
    await kafka.create_topic(topic_name)
    await kafka.produce(topic_name, VALUES)
    fetching.install()
    tp = TopicPartition(topic_name, 0)
    for unpacker, kind in ((RecordBatchUnpacker(), RecordBatch), (None, ConsumerRecord)):
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, value_deserializer=unpacker)
        async with consumer:
            consumer.assign([tp])
            consumer.seek(tp, 0)
            found = (await consumer.getmany(timeout_ms=10_000))[tp]
            assert {type(item) for item in found} == {kind}
            assert await consumer.position(tp) == len(VALUES)


async def test_a_partition_is_fetched_from_where_it_was_seeked_and_only_while_accepted(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name, 2)
    for partition in (0, 1):
        await kafka.produce(topic_name, VALUES, partition=partition)
    async with start() as running:
        assert running.counts.assigned == [{0, 1}]
        await running.seek(0, 10)
        await running.seek(1, 0)
        running.counts.accepted = {0}
        await running.wait_values(0, VALUES[10:])
        assert running.counts.highwaters[0] == 100
        # The calls that Faust makes after a rebalance must not start a partition that is not accepted, as during a restore.
        running.faust_app.consumer.resume_partitions({TP(topic_name, 0), TP(topic_name, 1)})
        await running.faust_app.consumer.perform_seek()
        running.faust_app.consumer.resume_flow()
        await kafka.produce(topic_name, VALUES[:5], partition=0)
        await running.wait_values(0, VALUES[10:] + VALUES[:5])
        assert running.counts.values[1] == []
        running.counts.accepted = {0, 1}
        await running.wait_values(1, VALUES)


async def test_records_that_come_one_by_one_are_gathered(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name)
    async with start() as running:
        await running.begin()
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            started = now_s()
            for value in VALUES:
                await producer.send_and_wait(topic_name, value, partition=0)
            await running.wait_values(0, VALUES)
        # Each record is acknowledged before the next record is sent, so without a pause each poll would return one record.
        assert running.counts.polls <= 1 + (now_s() - started) / PACE_S
        assert running.counts.polls < len(VALUES)


async def test_after_a_seek_back_the_same_records_come_again(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name)
    for _ in range(2):
        await kafka.produce(topic_name, VALUES)
    async with start() as running:
        await running.begin()
        await running.wait_values(0, VALUES + VALUES)
        await running.seek(0, 50)
        await running.wait_values(0, VALUES + VALUES + VALUES[50:] + VALUES)


async def test_nothing_is_kept_of_what_was_delivered(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name)
    async with start() as running:
        await running.begin()
        for number in range(1, 6):
            await kafka.produce(topic_name, VALUES)
            await running.wait_values(0, VALUES * number)
        consumer = running.faust_app.consumer
        kept = [*consumer._acked.values(), *consumer._acked_index.values(), consumer._unacked_messages]
        assert not any(kept), (
            "Faust's stream keeps the offset of each event until Faust commits, which it never does"
        )


async def test_the_groups_committed_offsets_are_never_asked_for(
    kafka: KafkaClient, topic_name: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kafka.create_topic(topic_name)
    await kafka.produce(topic_name, VALUES)
    await commit_as_stranger(kafka, topic_name, 70)
    asked: list[Any] = []
    ask = GroupCoordinator._do_fetch_commit_offsets

    async def note(coordinator: Any, partitions: Any) -> Any:
        asked.append(partitions)
        return await ask(coordinator, partitions)

    monkeypatch.setattr(GroupCoordinator, "_do_fetch_commit_offsets", note)
    async with start() as running:
        running.counts.accepted = {0}
        await running.seek(0, 30)
        await running.wait_values(0, VALUES[30:])
    assert asked == []
    # Prove that `note` sees a consumer that asks for committed offsets.
    async with AIOKafkaConsumer(
        topic_name,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=f"group-{topic_name}",
        enable_auto_commit=False,
    ) as asking:
        assert (await asking.getone()).offset == 70
    assert asked != []


async def test_a_position_that_does_not_exist_is_reported_and_the_others_go_on(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name, 2)
    for partition in (0, 1):
        await kafka.produce(topic_name, VALUES, partition=partition)
    async with start() as running:
        running.counts.accepted = {0, 1}
        await running.seek(0, 5000)

        async def is_reported() -> bool:
            return running.counts.reexamined == {0}

        await wait_for(is_reported, "partition 0 reported")
        await running.seek(1, 0)
        await running.wait_values(1, VALUES)
        assert running.counts.values[0] == []


async def test_events_of_an_old_generation_never_reach_the_agent(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name)
    await kafka.produce(topic_name, VALUES)
    async with start() as running:
        consumer = running.faust_app.consumer
        tp = TP(topic_name, 0)

        def message(value: bytes, generation: int) -> Any:
            made = consumer._to_message(tp, Fetched([batch_of(value)], 1))
            made.generation_id = generation
            return made

        generation = running.faust_app.consumer_generation_id
        assert generation > 0
        await running.faust_app.topics.on_message(message(b"old", generation - 1))
        await running.faust_app.topics.on_message(message(b"new", generation))
        await running.wait_values(0, [b"new"])


def batch_of(value: bytes) -> RecordBatch:
    return RecordBatch(pa.array([value], pa.binary()), 0, 1)


async def test_a_commit_proves_ownership_only_under_a_live_membership(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name, 2)
    async with start() as running:
        await running.commit(0, 7)
        coordinator = running.thread._consumer._coordinator
        member, generation = coordinator.member_id, coordinator.generation

        running.thread.last_contact_s = now_s() - SESSION_S - 1
        with pytest.raises(PartitionsLostError, match="heartbeat"):
            await running.commit(0, 8)
        running.thread.last_contact_s = now_s()

        with pytest.raises(PartitionsLostError, match="refused"):
            await running.commit(2, 8)  # not assigned

        coordinator.member_id = "somebody else"
        with pytest.raises(PartitionsLostError, match="refused"):
            await running.commit(0, 8)
        coordinator.member_id = member

        coordinator.generation = -1
        with pytest.raises(PartitionsLostError, match="not a member"):
            await running.commit(0, 8)
        coordinator.generation = generation
    assert await committed(kafka, topic_name) == 7


async def committed(kafka: KafkaClient, topic: str) -> int:
    """Return the offset that the group has committed for partition 0."""
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=f"group-{topic}", enable_auto_commit=False
    ) as consumer:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        return int(await consumer.committed(tp))


async def commit_as_stranger(kafka: KafkaClient, topic: str, position: int) -> None:
    """Commit an offset of partition 0 without being a member; automatic commits are off, because they would replace the offset."""
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=f"group-{topic}", enable_auto_commit=False
    ) as stranger:
        tp = TopicPartition(topic, 0)
        stranger.assign([tp])
        await stranger.commit({tp: OffsetAndMetadata(position, "")})


async def test_an_empty_group_accepts_the_commit_of_anybody(kafka: KafkaClient, topic_name: str) -> None:
    """This is why an accepted commit alone does not prove ownership."""
    await kafka.create_topic(topic_name)
    await commit_as_stranger(kafka, topic_name, 9)
    assert await committed(kafka, topic_name) == 9


async def test_accepted_heartbeats_alone_are_remembered(
    kafka: KafkaClient, topic_name: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kafka.create_topic(topic_name)
    beat = GroupCoordinator._do_heartbeat
    accepted: list[float] = []
    refused: list[float] = []
    refusing = threading.Event()

    async def witnessed(coordinator: GroupCoordinator) -> bool:
        if refusing.is_set():
            refused.append(now_s())
            return False
        sent_s = now_s()
        answer = bool(await beat(coordinator))
        if answer:
            accepted.append(sent_s)
        return answer

    monkeypatch.setattr(GroupCoordinator, "_do_heartbeat", witnessed)
    async with start() as running:

        async def beats_twice() -> bool:
            return len(accepted) > 1

        async def is_refused_twice() -> bool:
            return len(refused) > 1

        await wait_for(beats_twice, "two accepted heartbeats")
        assert running.thread.last_contact_s >= accepted[0] - JUST_BEFORE_S
        refusing.set()
        await wait_for(is_refused_twice, "two heartbeats that are refused")
        # The last accepted heartbeat may have been sent before `refusing` was set and answered after it.
        assert accepted[-1] - JUST_BEFORE_S <= running.thread.last_contact_s < refused[1]


async def test_a_lease_counts_from_the_request_for_the_assignment(
    kafka: KafkaClient, topic_name: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was stopped before it received its assignment must not take the assignment for new."""
    await kafka.create_topic(topic_name)
    send = GroupCoordinator._send_req
    assigned = driver.AIOKafkaConsumerThread.on_partitions_assigned
    sent: list[float] = []
    seen: list[float] = []

    async def stopped_before_the_answer(coordinator: GroupCoordinator, request: Any) -> Any:
        asked_s = now_s()
        answer = await send(coordinator, request)
        if isinstance(request, SyncGroupRequest):
            sent.append(asked_s)
            await asyncio.sleep(0.5)
        return answer

    async def witnessed(thread: BatchConsumerThread, *arguments: Any) -> None:
        seen.append(thread.last_contact_s)
        await assigned(thread, *arguments)

    monkeypatch.setattr(GroupCoordinator, "_send_req", stopped_before_the_answer)
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_partitions_assigned", witnessed)
    async with start():
        assert seen[-1] <= sent[-1] + JUST_BEFORE_S


async def test_buffers_are_flushed_while_the_membership_stands(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name, 2)
    async with start() as first, start() as second:

        async def have_shared() -> bool:
            return first.counts.assigned[-1] | second.counts.assigned[-1] == {0, 1} and all(
                len(running.counts.assigned[-1]) == 1 for running in (first, second)
            )

        await wait_for(have_shared, "one partition each")
        # Before its first membership an app has nothing to flush; in a later rebalance it still owns its partitions.
        assert first.counts.suspended[0] is False
        assert first.counts.suspended[-1] is True
        # Every member knows the number of partitions, not only the leader of the group.
        assert [running.thread.topic_partitions(topic_name) for running in (first, second)] == [2, 2]


async def test_the_members_metadata_carry_the_workers_address(
    kafka: KafkaClient, topic_name: str, start: Start
) -> None:
    await kafka.create_topic(topic_name)
    async with start() as running:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        try:
            (answer,) = await admin.describe_consumer_groups([f"group-{running.topic}"])
        finally:
            await admin.close()
        (member,) = answer.groups[0][5]
        assert decode_card(member[-2]) == Card("http://worker:8080", [], [])
