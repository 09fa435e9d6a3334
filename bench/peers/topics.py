"""The topics of a comparison: beginnings of one seeded corpus, and the topics from which the counts of some systems are read."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.corpus import zipf_lines
from bench.event_time import EventTime
from bench.rig import PARTITIONS, Rig
from bench.topics import LoadedTopic, load_topic

LINES_PER_BATCH = 1000

Decode = Callable[[bytes, bytes | None], tuple[str, int] | None]
"""Word, or pane, and count of a record's key and value; None for a record without a count."""


@dataclass(frozen=True)
class PeersTopic(LoadedTopic):
    """A topic that is counted.

    Attributes:
        expected: the counts that a system must find, by word or by `bench.event_time.pane`.
    """

    expected: Mapping[str, int]


def load(rig: Rig, lines: int) -> PeersTopic:
    """Load the topic with the first `lines` lines of 10 words; the lines are spread evenly over the partitions, even few lines."""
    loaded = asyncio.run(load_topic(rig.servers, f"lines-{lines}", _chunks(lines), PARTITIONS))
    expected = {word.decode(): count for word, count in loaded.truth.items()}
    return PeersTopic(loaded.name, loaded.records, loaded.truth, expected)


def load_windowed(rig: Rig, lines: int, records_per_s: int) -> PeersTopic:
    """Load the topic that `load` loads, with event times, and with an empty line at the end of each partition that ends all windows.

    Args:
        rig: the broker.
        lines: number of lines of 10 words.
        records_per_s: number of lines per second of event time.
    """
    time = EventTime(lines, records_per_s)
    chunks = itertools.chain(time.counted(_chunks(lines)), [[b""]] * PARTITIONS)
    loaded = asyncio.run(
        load_topic(rig.servers, f"timed-lines-{lines}", chunks, PARTITIONS, time_ms=time.time_ms)
    )
    return PeersTopic(loaded.name, loaded.records, loaded.truth, time.counts())


def _chunks(lines: int) -> Iterator[list[bytes]]:
    size = min(LINES_PER_BATCH, max(1, lines // PARTITIONS))
    for chunk in zipf_lines(lines):
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
