"""Record batches of input and changelog that are corrupt or cannot be decoded, and batches in former formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.local.embedded import EmbeddedBroker
from tables.model.names import changelog_topic
from tests.fakes.record_batches import legacy, plain, undecodable
from tests.integration.hostile import stopped
from tests.integration.worker import counts_of, lines, positions_of, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers


def corrupt(broker: EmbeddedBroker, topic: str, partition: int, text: bytes) -> None:
    """Flip one bit of `text`, which occurs once in the log of a partition, on the disk of a stopped broker."""
    (segment,) = (broker.data_dir / "log" / f"{topic}-{partition}").glob("*.log")
    content = bytearray(segment.read_bytes())
    assert content.count(text) == 1
    content[content.index(text)] ^= 1
    segment.write_bytes(content)


def put(broker: EmbeddedBroker, topic: str, partition: int, log: bytes) -> None:
    """Replace the log of a partition of a stopped broker by `log`."""
    folder = broker.data_dir / "log" / f"{topic}-{partition}"
    for path in [*folder.glob("*.index"), *folder.glob("*.timeindex"), *folder.glob("*.snapshot")]:
        path.unlink()
    (segment,) = folder.glob("*.log")
    segment.write_bytes(log)
    # The broker reads its segments again only after a crash, so the files that prove a clean stop are removed.
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", ".kafka_cleanshutdown"):
        (broker.data_dir / "log" / name).unlink(missing_ok=True)


async def test_batches_that_cannot_be_decoded_stop_their_partitions_alone_and_former_formats_are_counted(
    tmp_path: Path, kafka_at: Callable[[str], KafkaClient], workers: Workers
) -> None:
    topic = workers.topic
    old = [b"old one", b"", None, b"old two"]
    partitions = {
        0: undecodable("gzip"),
        1: undecodable("zstd"),
        2: plain(0, b"good") + undecodable("count", base=1),
        3: legacy(0, 0, 0, *old),
        4: legacy(1, 0, 0, *old),
        5: legacy(0, 1, 0, *old),
        6: legacy(1, 1, 0, *old),
    }
    with EmbeddedBroker(tmp_path / "broker") as own:
        kafka = kafka_at(own.bootstrap_servers)
        # The records have no timestamps, or timestamps of 1970, so they would expire at once.
        await kafka.create_topic(topic, 8, {"retention.ms": "-1"})
        own.stop()
        for partition, log in partitions.items():
            put(own, topic, partition, log)
        own.start()
        for partition in range(8):
            await kafka.produce(topic, [b"new"], partition=partition)
        worker = workers(bootstrap_servers=own.bootstrap_servers).start()
        await stopped(worker, 0, 1, 2)
        said = [line for line in worker.log.splitlines() if "partition stopped" in line]
        for partition, offset in {0: 0, 1: 0, 2: 1}.items():
            (line,) = [one for one in said if f"{topic} partition {partition}:" in one]
            assert f"the record batch at offset {offset} cannot be decoded" in line
            assert "delete the records up to and including the batch" in line

        async def the_rest_is_counted() -> bool:
            return await positions_of([worker]) == {0: 0, 1: 0, 2: 1} | dict.fromkeys(range(3, 7), 5) | {7: 1}

        await wait_for(the_rest_is_counted, "all that can be read counted")
        assert await counts_of([worker]) == {"good": 1, "old": 8, "one": 4, "two": 4, "new": 5}
        assert (await worker.stop())[0] == 0


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

        # The worker starts again with an empty state folder, and a batch of the changelog is corrupt too.
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
