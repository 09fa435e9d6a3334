"""Record batches that are not what their checksum says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.kafka.embedded import EmbeddedBroker
from tables.schema import changelog_topic
from tests.integration.hostile import stopped
from tests.integration.worker import (
    counts_of,
    lines,
    positions_of,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers


def corrupt(broker: EmbeddedBroker, topic: str, partition: int, text: bytes) -> None:
    """Flip a bit of `text`, which one record of a stopped broker holds, in its log on disk."""
    (segment,) = (broker.data_dir / "log" / f"{topic}-{partition}").glob("*.log")
    content = bytearray(segment.read_bytes())
    assert content.count(text) == 1
    content[content.index(text)] ^= 1
    segment.write_bytes(content)


async def test_a_corrupt_batch_stops_its_partition_after_what_precedes_it_and_the_others_go_on(
    tmp_path: Path, kafka_at: Callable[[str], KafkaClient], workers: Workers
) -> None:
    topic, changelog = workers.topic, changelog_topic(workers.group, workers.topic)
    with EmbeddedBroker(tmp_path / "broker") as own:
        kafka = kafka_at(own.bootstrap_servers)
        await kafka.create_topic(topic, 3)
        for partition in range(3):
            await kafka.produce(topic, lines(partition, 50), partition=partition)
        await kafka.produce(topic, [b"unreadable", b"batch"], partition=1)
        for partition in range(3):
            await kafka.produce(topic, lines(10 + partition, 50), partition=partition)
        own.stop()
        corrupt(own, topic, 1, b"unreadable")
        own.start()
        worker = workers(bootstrap_servers=own.bootstrap_servers).start()
        said = await stopped(worker, 1)
        assert f"{topic} partition 1: the record batch at offset 50 is corrupt" in said
        assert "intact replica" in said
        await kafka.produce(topic, lines(20, 50), partition=0)

        async def the_rest_is_counted() -> bool:
            return await positions_of([worker]) == {0: 150, 1: 50, 2: 100}

        await wait_for(the_rest_is_counted, "all that can be read counted")
        seeds = (0, 10, 20, 1, 2, 12)
        truth = Counter(b" ".join([line for seed in seeds for line in lines(seed, 50)]).decode().split())
        assert await counts_of([worker]) == truth
        assert (await worker.stop())[0] == 0

        # Now the state folder is lost, and a batch of the changelog is corrupt too.
        own.stop()
        corrupt(own, changelog, 2, b'"position":100')
        own.start()
        worker.start(WORDCOUNT_STATE_DIR=str(tmp_path / "another"))
        await stopped(worker, 1, 2)
        said = next(line for line in worker.log.splitlines() if "changelog" in line and "corrupt" in line)
        assert f"{changelog} partition 2: the record batch at offset" in said
        assert "wordcount reset" in said

        async def the_other_answers() -> bool:
            return await positions_of([worker]) == {0: 150, 1: 50}

        await wait_for(the_other_answers, "partition 0 restored")
        await worker.close()
