"""Topics that lose records, are created again or get partitions: a partition that cannot be exact stops, the other partitions go on.

Tests of records that expire before they are counted, and of another profile, are in `workers/test_worker_bad_input.py`.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec

from tables.model.names import IDENTIFIED_VERSION, MARKER_KEY, changelog_topic
from tables.model.rows import Marker, encode_marker
from tests.integration.operator_tools import (
    append,
    delete_records,
    delete_topic,
    extend_topic,
    stopped,
    wait_logged,
    wordcount,
)
from tests.integration.worker import Worker, counts_of, lines, positions_of, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers


async def counted(kafka: KafkaClient, workers: Workers, partitions: int = 2) -> Worker:
    """Return a running worker that has counted 100 lines of each partition."""
    await kafka.create_topic(workers.topic, partitions)
    for partition in range(partitions):
        await kafka.produce(workers.topic, lines(partition, 100), partition=partition)
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    return worker


async def assert_exact(worker: Worker, workers: Workers) -> None:
    """Wait until every record that the input has now is counted, and compare the counts with a recount."""
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == await recount(workers.bootstrap_servers, workers.topic)
    verified = wordcount(worker, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


async def last_marker(kafka: KafkaClient, workers: Workers, partition: int) -> Marker:
    records = await kafka.read_all(changelog_topic(workers.group, workers.topic))
    values = [r.value for r in records if r.partition == partition and r.key == MARKER_KEY]
    return msgspec.json.decode(values[-1], type=Marker)


async def test_a_topic_created_again_is_noticed_also_where_it_is_longer_than_what_was_counted(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    await delete_topic(workers.bootstrap_servers, workers.topic)
    await kafka.create_topic(workers.topic, 2)
    for partition in range(2):
        await kafka.produce(workers.topic, lines(7, 300), partition=partition)

    worker.start()
    said = await stopped(worker, 0, 1)
    assert "the topic was deleted and created again (id " in said
    assert "0 to 100 (exclusive)" in said
    assert await positions_of([worker]) == {}
    assert (await worker.metrics())["wordcount_records_read_total"] == 0
    await worker.stop()

    assert wordcount(worker, "reset", "--yes").returncode == 0
    await assert_exact(await worker.start().wait_ready(), workers)


async def test_a_topic_created_again_under_a_running_worker_is_not_counted_on(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    await delete_topic(workers.bootstrap_servers, workers.topic)
    await kafka.create_topic(workers.topic, 2)
    for partition in range(2):
        await kafka.produce(workers.topic, lines(7, 300), partition=partition)

    assert "the topic was deleted and created again" in await stopped(worker, 0, 1)
    assert (await worker.metrics_of(200))["wordcount_records_read_total"] == 200
    verified = wordcount(worker, "verify")
    assert (verified.returncode, verified.stdout.count("created again")) == (3, 2)


async def test_a_position_beyond_the_end_stops_its_partition_alone(
    kafka: KafkaClient, workers: Workers
) -> None:
    """The topic is as after an unclean leader election, when the new leader lacked records that were counted already."""
    worker = await counted(kafka, workers)
    await worker.stop()
    marker = await last_marker(kafka, workers, 1)
    ahead = encode_marker(msgspec.structs.replace(marker, position=105))
    await append(
        workers.bootstrap_servers, changelog_topic(workers.group, workers.topic), 1, MARKER_KEY, ahead
    )
    await kafka.produce(workers.topic, lines(8, 50), partition=0)

    worker.start()
    said = await stopped(worker, 1)
    assert "ends at offset 100, but 105 was next to count" in said

    async def other_is_counted() -> bool:
        return await positions_of([worker]) == {0: 150}

    await wait_for(other_is_counted, "partition 0 counted")


async def test_records_that_expire_under_a_stopped_partition_can_be_counted_again_from_what_is_left(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    await kafka.produce(workers.topic, lines(8, 50), partition=0)
    await delete_records(workers.bootstrap_servers, workers.topic, {0: 120})
    worker.start()
    assert "records 100 to 119 expired before they were counted" in await stopped(worker, 0)
    verified = wordcount(worker, "verify")
    assert verified.returncode == 3
    assert "partition 0: cannot be verified" in verified.stdout
    assert "partition 1: " in verified.stdout
    await worker.stop()

    done = wordcount(worker, "reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert "0: 120, 1: 0" in done.stdout
    await assert_exact(await worker.start().wait_ready(), workers)


async def test_records_that_expire_after_they_were_counted_change_nothing(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    before = await counts_of([worker])
    await delete_records(workers.bootstrap_servers, workers.topic, {0: 100, 1: 40})
    await worker.stop()
    await worker.start().wait_ready()
    assert await counts_of([worker]) == before
    verified = wordcount(worker, "verify")
    assert verified.returncode == 3
    assert verified.stdout.count("expired since") == 2


async def test_partitions_added_between_two_runs_just_count(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers, 8)
    await worker.stop()
    await extend_topic(workers.bootstrap_servers, workers.topic, 12)
    for partition in range(12):
        await kafka.produce(workers.topic, lines(partition, 20), partition=partition)
    await worker.start().wait_ready()
    await assert_exact(worker, workers)
    assert (await positions_of([worker])).keys() == set(range(12))


async def test_partitions_added_under_a_running_worker_just_count(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers, 8)
    await extend_topic(workers.bootstrap_servers, workers.topic, 12)
    for partition in range(12):
        await kafka.produce(workers.topic, lines(partition, 20), partition=partition)
    await assert_exact(worker, workers)
    assert (await positions_of([worker])).keys() == set(range(12))
    changelog = await kafka.read_all(changelog_topic(workers.group, workers.topic))
    assert {record.partition for record in changelog} == set(range(12))


async def test_partitions_added_end_a_worker_that_may_not_extend_the_changelog(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    await worker.start(WORDCOUNT_CREATE_TOPICS="false").wait_ready()
    await extend_topic(workers.bootstrap_servers, workers.topic, 3)
    assert await worker.ended() == 2
    assert (
        "too few partitions and WORDCOUNT_CREATE_TOPICS is false; run: wordcount topics create" in worker.log
    )


async def test_a_deleted_changelog_is_written_again_where_the_input_still_has_everything(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    await delete_topic(workers.bootstrap_servers, changelog_topic(workers.group, workers.topic))
    await worker.start().wait_ready()
    assert "deleted or created again: it ends at offset 0" in worker.log
    await assert_exact(worker, workers)
    await worker.stop()
    shutil.rmtree(worker.state_dir)  # so that all counts must come from the new changelog
    await worker.start().wait_ready()
    assert (await worker.metrics())["wordcount_records_read_total"] == 0
    await assert_exact(worker, workers)


async def test_a_changelog_deleted_under_a_running_worker_is_written_again(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    await delete_topic(workers.bootstrap_servers, changelog_topic(workers.group, workers.topic))
    for partition in range(2):
        await kafka.produce(workers.topic, lines(9, 20), partition=partition)
    await wait_logged(worker, "deleted or created again")
    await assert_exact(worker, workers)


async def test_a_deleted_changelog_of_an_input_that_lost_records_stops_the_partition(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    await delete_records(workers.bootstrap_servers, workers.topic, {0: 10})
    await delete_topic(workers.bootstrap_servers, changelog_topic(workers.group, workers.topic))
    worker.start()
    said = await stopped(worker, 0)
    assert "the changelog is empty, but was read up to " in said
    assert "records 0 to 9 of the input" in said
    await worker.stop()

    refused = wordcount(worker, "rebuild", "--partition", "0")
    assert refused.returncode == 1
    assert "the store cannot be rebuilt from the changelog, and was kept" in refused.stderr
    assert wordcount(worker, "reset", "--yes").returncode == 0
    await assert_exact(await worker.start().wait_ready(), workers)


async def test_a_store_of_a_former_changelog_is_thrown_away_also_where_the_new_one_is_longer(
    kafka: KafkaClient, workers: Workers
) -> None:
    former = await counted(kafka, workers)
    await former.stop()
    other = workers()
    assert wordcount(other, "reset", "--yes").returncode == 0
    await other.start().wait_ready()
    for seed in range(5):
        for partition in range(2):
            await kafka.produce(workers.topic, lines(seed, 100), partition=partition)
        await wait_counted([other], workers.bootstrap_servers, workers.topic)
    await other.stop()

    await former.start().wait_ready()
    assert "deleted or created again" in former.log
    await assert_exact(former, workers)


async def test_a_changelog_of_another_format_is_refused(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    newer = encode_marker(
        msgspec.structs.replace(await last_marker(kafka, workers, 0), version=IDENTIFIED_VERSION + 1)
    )
    await append(
        workers.bootstrap_servers, changelog_topic(workers.group, workers.topic), 0, MARKER_KEY, newer
    )
    worker.start()
    await wait_logged(worker, "partition stopped")
    assert "the changelog was written in format 4, this program reads 1 to 3" in worker.log
    assert "wordcount reset" in worker.log

    async def other_counts() -> bool:
        return await positions_of([worker]) == {1: 100}

    await wait_for(other_counts, "partition 1 counts")
