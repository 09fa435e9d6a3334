"""The topics of a comparison: beginnings of one seeded corpus, and the changelogs from which the counts of some systems are read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.corpus import zipf_lines
from bench.rig import PARTITIONS, Rig
from bench.topics import LoadedTopic, load_topic

LINES_PER_BATCH = 1000

Decode = Callable[[bytes, bytes | None], tuple[str, int] | None]
"""Word and count of a changelog record's key and value; None for a record without a count."""


def load(rig: Rig, lines: int) -> LoadedTopic:
    """Load the topic with the first `lines` lines of 10 words; the lines are spread evenly over the partitions, even few lines."""
    size = min(LINES_PER_BATCH, max(1, lines // PARTITIONS))
    name = f"lines-{lines}"
    return asyncio.run(load_topic(rig.servers, name, _recut(zipf_lines(lines), size), PARTITIONS))


def _recut(chunks: Iterator[list[bytes]], size: int) -> Iterator[list[bytes]]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


def changelog_counts(servers: str, topic: str, decode: Decode) -> dict[str, int]:
    """Return the counts in the latest record of each key and partition, added up over partitions."""
    latest = asyncio.run(_latest(servers, topic))
    counts: Counter[str] = Counter()
    for (_, key), value in latest.items():
        if (found := decode(key, value)) is not None:
            counts[found[0]] += found[1]
    return dict(counts)


async def _latest(servers: str, topic: str) -> dict[tuple[int, bytes], bytes | None]:
    latest: dict[tuple[int, bytes], bytes | None] = {}
    partitions = [TopicPartition(topic, each) for each in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        assert any(ends.values()), f"{topic} is empty"
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(timeout_ms=200, max_records=20_000)).values():
                    latest.update({(record.partition, record.key): record.value for record in records})
    return latest


def difference(counts: Mapping[str, int], truth: Mapping[str, int]) -> str | None:
    """Return what is wrong with `counts`; None if they equal `truth`."""
    wrong = [word for word in truth.keys() | counts.keys() if counts.get(word) != truth.get(word)]
    if not wrong:
        return None
    word = min(wrong)
    return (
        f"{len(wrong)} words differ, as {word!r}: {counts.get(word)} instead of {truth.get(word)}; "
        f"{sum(counts.values())} words instead of {sum(truth.values())}"
    )
