"""Deployments whose changelogs have the same name now, or had the same name in an earlier version."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tables.model.names import MARKER_KEY, changelog_topic, former_changelog_topic
from tables.model.rows import Marker, decode_marker, encode_marker
from tests.integration.conftest import Workers, close_all
from tests.integration.operator_tools import append, wordcount
from tests.integration.worker import Worker, counts_of, lines, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient


async def test_groups_and_topics_that_read_the_same_together_are_counted_apart(
    kafka: KafkaClient, topic_name: str, tmp_path: Path
) -> None:
    name = topic_name.removeprefix("topic-")
    pairs = [(f"{name}-b", "c"), (name, "b-c")]
    deployments = []
    try:
        for group, suffix in pairs:
            deployment = Workers(tmp_path / group, kafka.bootstrap_servers, f"{suffix}-{name}")
            deployment.group = group
            (tmp_path / group).mkdir()
            await kafka.create_topic(deployment.topic, 1)
            await kafka.produce(deployment.topic, lines(len(deployments), 200))
            deployments.append(deployment)
        workers = [deployment().start() for deployment in deployments]
        for deployment, worker in zip(deployments, workers, strict=True):
            await worker.wait_ready()
            await wait_counted([worker], kafka.bootstrap_servers, deployment.topic)
            assert await counts_of([worker]) == await recount(kafka.bootstrap_servers, deployment.topic)
    finally:
        for deployment in deployments:
            await close_all(deployment.made)


async def with_a_marker(workers: Workers, kafka: KafkaClient, theirs: dict[str, str]) -> None:
    """Append a copy of the changelog's last marker that names another owner."""
    changelog = changelog_topic(workers.group, workers.topic)
    markers = [record.value for record in await kafka.read_all(changelog) if record.key == MARKER_KEY]
    ours = decode_marker(markers[-1])
    assert (ours.group, ours.topic) == (workers.group, workers.topic)
    other = encode_marker(msgspec.structs.replace(ours, **theirs))
    await append(workers.bootstrap_servers, changelog, 0, MARKER_KEY, other)


async def wait_stopped(worker: Worker) -> None:
    async def stopped() -> bool:
        return "partition stopped" in worker.log

    await wait_for(stopped, "the partition stopped")
    assert "the changelog holds counts of topic" in worker.log
    assert (await worker.get("/v1/stats")).status_code == 503


async def test_another_deployment_that_begins_to_write_to_the_changelog_stops_the_partition(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    await kafka.produce(workers.topic, lines(1, 100))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    await with_a_marker(workers, kafka, {"group": "others"})
    await kafka.produce(workers.topic, lines(2, 100))
    await wait_stopped(worker)


@pytest.mark.parametrize("theirs", [{"group": "others"}, {"topic": "other"}], ids=str)
async def test_the_changelog_of_another_deployment_is_neither_adopted_nor_deleted(
    theirs: dict[str, str], kafka: KafkaClient, workers: Workers
) -> None:
    changelog = changelog_topic(workers.group, workers.topic)
    await kafka.create_topic(workers.topic, 1)
    await kafka.produce(workers.topic, lines(1, 100))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    await worker.stop()
    await with_a_marker(workers, kafka, theirs)
    shutil.rmtree(worker.state_dir)
    worker.start()
    await wait_stopped(worker)
    await worker.stop()
    done = await asyncio.to_thread(wordcount, worker, "reset", "--yes")
    assert done.returncode == 2
    assert f"{changelog}: the changelog holds counts of topic" in done.stderr
    assert await kafka.read_all(changelog)


@pytest.mark.parametrize("owned", [True, False])
async def test_counts_in_a_changelog_of_the_former_name_are_named_and_none_begin_beside_them(
    owned: bool, kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    former = former_changelog_topic(workers.group, topic)
    await kafka.create_topic(topic, 2)
    await kafka.create_topic(former, 2, {"cleanup.policy": "compact"})
    marker = Marker(topic=topic if owned else "other", profile="whitespace/1", origin=0, position=0)
    await append(servers, former, 1, MARKER_KEY, encode_marker(marker))
    worker = workers().start()
    if not owned:
        await worker.wait_ready()
        return
    assert await worker.ended() == 2
    assert f"are in topic {former}, as a former version named it" in worker.log
    done = await asyncio.to_thread(wordcount, worker, "reset", "--yes")
    assert done.returncode == 0, done.stderr
    await worker.start().wait_ready()
