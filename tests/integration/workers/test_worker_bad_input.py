"""Mistakes of an operator: the worker ends, or stops the partition, with one line that says what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from app.exit_codes import EXIT_CONFIGURATION, EXIT_FAILED
from tables.model.names import changelog_topic
from tests.integration.worker import (
    WORKER_ENTRIES,
    Worker,
    counts_of,
    free_port,
    lines,
    positions_of,
    recount,
    wait_counted,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

START_TIMEOUT_S = 30.0
MOST_PARTITIONS = 2


async def refused(worker: Worker, *named: str) -> int:
    """Wait until the worker has ended with one line that contains all of `named`; return the exit code."""
    exit_code = await worker.ended(START_TIMEOUT_S)
    said = [line for line in worker.log.splitlines() if line.startswith("wordcount: ")]
    assert len(said) == 1, worker.log
    for part in named:
        assert part in said[0]
    assert "Traceback" not in worker.log
    return exit_code


async def stopped(worker: Worker, partitions: Iterable[int], *named: str) -> None:
    """Wait until exactly these partitions are stopped; check that /readyz and the log give a reason that contains all of `named`."""
    numbers = sorted(partitions)

    async def are_stopped() -> bool:
        if await worker.status("/livez") != 200:
            return False
        states = await worker.metrics()
        found = [
            number
            for number in range(MOST_PARTITIONS)
            if states.get(f'wordcount_partition_state{{partition="{number}",state="stopped"}}') == 1
        ]
        return found == numbers

    await wait_for(are_stopped, f"partitions {numbers} stopped")
    detail = (await worker.get("/readyz")).json()["checks"]["restored"]["detail"]
    for part in named:
        assert part in detail
    for number in numbers:
        said = [
            line
            for line in worker.log.splitlines()
            if "partition stopped" in line and f"partition={number}" in line
        ]
        assert len(said) == 1, said
        for part in (f"{worker.settings['WORDCOUNT_TOPIC']} partition {number}", *named):
            assert part in said[0]
    # The process lives on, but does not answer for the stopped partitions.
    assert await worker.status("/livez") == 200
    assert not set(numbers) & (await positions_of([worker])).keys()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("entry", WORKER_ENTRIES)
@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("profile", "latin", ("WORDCOUNT_PROFILE", "latin", "java-s, whitespace, unicode")),
        ("processing_guarantee", "exactly_once", ("WORDCOUNT_PROCESSING_GUARANTEE", "loses or doubles")),
        ("session_timeout_ms", "soon", ("WORDCOUNT_SESSION_TIMEOUT_MS", "soon")),
    ],
)
async def test_a_bad_setting_is_refused_by_name(
    entry: str, setting: str, value: str, named: tuple[str, ...], workers: Workers
) -> None:
    worker = workers(entry=entry, **{setting: value}).start()
    assert await refused(worker, *named) != 0


@pytest.mark.parametrize("entry", WORKER_ENTRIES)
async def test_a_taken_port_is_refused(entry: str, taken_port: int, workers: Workers) -> None:
    worker = workers(entry=entry, http_port=taken_port).start()
    assert await refused(worker, str(taken_port), "WORDCOUNT_HTTP_PORT") == EXIT_CONFIGURATION


async def test_no_broker_at_the_address_ends_the_worker(workers: Workers) -> None:
    address = f"127.0.0.1:{free_port()}"
    worker = workers(bootstrap_servers=address).start()
    assert await refused(worker, address, "WORDCOUNT_BOOTSTRAP_SERVERS") == EXIT_FAILED


async def test_a_state_folder_that_cannot_be_written_is_refused(workers: Workers) -> None:
    worker = workers()
    worker.state_dir.touch()
    folder = worker.state_dir / "state"
    worker.start(WORDCOUNT_STATE_DIR=str(folder))
    assert await refused(worker, str(folder), "WORDCOUNT_STATE_DIR") == EXIT_CONFIGURATION


async def test_a_state_folder_that_another_worker_uses_is_refused(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    first = await workers().start().wait_ready()
    second = workers(state_dir=first.state_dir).start()
    assert await refused(second, str(first.state_dir), str(first.pid), "WORDCOUNT_STATE_DIR") != 0
    assert await first.status("/readyz") == 200


async def test_two_workers_with_one_static_id_do_not_go_on_for_ever(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    pair = [workers(group_instance_id="one-id").start() for _ in range(2)]

    async def has_ended() -> bool:
        await kafka.produce(topic, lines(1, 20))
        return not all(worker.is_running() for worker in pair)

    await wait_for(has_ended, "one of the workers ended")
    ended, other = sorted(pair, key=Worker.is_running)
    assert await refused(ended, workers.group, "WORDCOUNT_GROUP_INSTANCE_ID") == EXIT_CONFIGURATION
    if other.is_running():  # The other worker may have ended at the same moment.
        await other.stop()

    await ended.start().wait_ready()
    await wait_counted([ended], servers, topic)
    assert await counts_of([ended]) == await recount(servers, topic)


async def test_a_missing_topic_that_may_not_be_created_is_refused_with_the_command(workers: Workers) -> None:
    worker = workers(create_topics="false").start()
    said = (workers.topic, "WORDCOUNT_CREATE_TOPICS", "wordcount topics create")
    assert await refused(worker, *said) == EXIT_CONFIGURATION


async def test_a_missing_topic_is_created_otherwise(kafka: KafkaClient, workers: Workers) -> None:
    worker = await workers(partitions=3).start().wait_ready()
    await kafka.produce(workers.topic, lines(1, 30))
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert (await positions_of([worker])).keys() == {0, 1, 2}


async def test_a_changelog_with_more_partitions_than_the_input_is_refused(
    kafka: KafkaClient, workers: Workers
) -> None:
    changelog = changelog_topic(workers.group, workers.topic)
    await kafka.create_topic(workers.topic, 1)
    await kafka.create_topic(changelog, 2, config={"cleanup.policy": "compact"})
    worker = workers().start()
    assert await refused(worker, changelog, workers.topic, "WORDCOUNT_GROUP") == EXIT_CONFIGURATION


async def test_a_changelog_that_deletes_is_refused(kafka: KafkaClient, workers: Workers) -> None:
    changelog = changelog_topic(workers.group, workers.topic)
    await kafka.create_topic(workers.topic, 1)
    await kafka.create_topic(changelog, 1, config={"cleanup.policy": "delete"})
    worker = workers().start()
    assert await refused(worker, changelog, "cleanup.policy") == EXIT_CONFIGURATION


async def test_a_changelog_that_refuses_what_is_appended_ends_the_worker_and_loses_nothing(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    changelog = changelog_topic(workers.group, topic)
    await kafka.create_topic(topic, 1)
    await kafka.produce(topic, lines(1, 100))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    await kafka.alter_topic(changelog, {"cleanup.policy": "compact", "max.message.bytes": "100"})
    await kafka.produce(topic, lines(2, 100))
    assert await refused(worker, changelog, "max.message.bytes") == EXIT_CONFIGURATION

    await kafka.alter_topic(changelog, {"cleanup.policy": "compact"})
    await worker.start().wait_ready()
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)


async def test_another_profile_than_the_states_stops_the_partitions_and_changes_nothing(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    await kafka.produce(topic, lines(1, 200))
    worker = await workers(profile="whitespace").start().wait_ready()
    await wait_counted([worker], servers, topic)
    await worker.stop()

    worker.start(WORDCOUNT_PROFILE="unicode")
    await stopped(worker, {0, 1}, "whitespace/1", "unicode/2")
    await kafka.produce(topic, lines(2, 100))
    assert (await worker.get("/v1/stats")).status_code == 503
    await worker.stop()

    await worker.start(WORDCOUNT_PROFILE="whitespace").wait_ready()
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)


@pytest.mark.parametrize("forgotten", ["1m", ""])
async def test_windows_that_were_forgotten_stop_the_partitions_and_lose_no_count(
    kafka: KafkaClient, workers: Workers, forgotten: str
) -> None:
    topic = workers.topic
    await kafka.create_topic(topic, 2)
    for partition in range(2):
        await kafka.produce(topic, lines(1, 50), partition=partition)
    worker = await workers(windows="1m,1h/5m").start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, topic)
    path = f"/v1/words/{lines(1, 1)[0].split()[0].decode()}/windows?size=1h/5m"
    before = (await worker.get(path)).json()["windows"]
    assert any(window["count"] for window in before)
    await worker.stop()

    worker.start(WORDCOUNT_WINDOWS=forgotten)
    await stopped(worker, {0, 1}, "5m", "WORDCOUNT_WINDOWS", "WORDCOUNT_DROP_WINDOWS")
    await worker.stop()

    await worker.start(WORDCOUNT_WINDOWS="1h/5m,1m").wait_ready()
    assert (await worker.get(path)).json()["windows"] == before
    await worker.stop()

    await worker.start(WORDCOUNT_WINDOWS=forgotten, WORDCOUNT_DROP_WINDOWS="1h/5m,1m").wait_ready()
    for partition in range(2):
        await kafka.produce(topic, [b"more"], partition=partition)
    await wait_counted([worker], workers.bootstrap_servers, topic)
    assert await counts_of([worker]) == await recount(workers.bootstrap_servers, topic)
    assert (await worker.get(path)).status_code == 404


async def test_records_that_expired_before_they_were_counted_stop_their_partition_alone(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    for partition in (0, 1):
        await kafka.produce(topic, lines(partition, 100), partition=partition)
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    await worker.stop()
    for partition in (0, 1):
        await kafka.produce(topic, lines(2, 100), partition=partition)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=150)})
    finally:
        await admin.close()

    worker.start()
    await stopped(worker, {0}, "100 to 149", "expired")

    async def other_is_counted() -> bool:
        return await positions_of([worker]) == {1: 200}

    await wait_for(other_is_counted, "partition 1 counted")
    stats = await worker.stats()
    assert (stats["complete"], stats["missing_partitions"]) == (False, [0])
    refused = await worker.get("/v1/stats")
    problem = refused.json()
    assert (refused.status_code, problem["missing_partitions"]) == (503, [0])
    assert problem["type"].endswith("incomplete")


async def test_a_topic_that_was_created_again_stops_the_partitions(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    for partition in (0, 1):
        await kafka.produce(topic, lines(partition, 100), partition=partition)
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    await worker.stop()
    await kafka.delete_topic(topic)
    await kafka.create_topic(topic, 2)
    # By its offsets alone partition 0 could be the former partition; partition 1 ends before its position.
    await kafka.produce(topic, lines(3, 200), partition=0)

    worker.start()
    await stopped(worker, {0, 1}, "created again", "offsets 0 to", "wordcount reset")
