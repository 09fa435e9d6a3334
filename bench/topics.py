"""Topics that are filled with a corpus, and the true counts of their words."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.text.tokenizer import tokenizer

KEPT = {"retention.ms": "-1"}
"""Settings of a topic whose records have times in the past: by default the broker removes what is older than a week."""

_BATCH_LINES = 1000


@dataclass(frozen=True)
class LoadedTopic:
    """A topic that does not grow any more.

    Attributes:
        name: name of the topic.
        records: number of records in the topic.
        truth: how often each word occurs.
    """

    name: str
    records: int
    truth: Counter[bytes]

    @property
    def words(self) -> int:
        """Occurrences of words."""
        return self.truth.total()


async def create_topic(
    servers: str, name: str, partitions: int, config: Mapping[str, str] | None = None
) -> None:
    """Create an empty topic; settings that `config` does not name are the broker's."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
    finally:
        await admin.close()


async def load_topic(
    servers: str,
    name: str,
    chunks: Iterable[list[bytes]],
    partitions: int,
    profile: str | None = None,
    time_ms: Callable[[int], int] | None = None,
) -> LoadedTopic:
    """Fill a new topic, a batch of 1,000 lines to each partition in turn.

    Args:
        servers: bootstrap servers.
        name: name of the topic.
        chunks: chunks of lines.
        partitions: number of partitions of the topic.
        profile: the profile whose tokeniser defines the true words; None = words are separated by spaces. Each distinct line is
            tokenised once, which is fast enough only for a text with repeated lines.
        time_ms: returns the time of a line, in ms since 1970, by the number of the line from 0; None = the time when the line is sent.
            The broker keeps lines with such times however old they are.
    """
    await create_topic(servers, name, partitions, KEPT if time_ms else None)
    times = map(time_ms, itertools.count()) if time_ms else itertools.repeat(None)
    records, number = 0, 0
    truth: Counter[bytes] = Counter()
    lines: Counter[bytes] = Counter()
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", compression_type="lz4") as producer:
        for chunk in chunks:
            records += len(chunk)
            if profile is None:
                truth.update(b" ".join(chunk).split())
            else:
                lines.update(chunk)
            for part in _parts(chunk):
                await send_lines(producer, name, number % partitions, part, times)
                number += 1
        await producer.flush()
    if profile is not None:
        tokens = tokenizer(profile).tokens
        for line, count in lines.items():
            for word in tokens(line.decode()):
                truth[word.encode()] += count
    return LoadedTopic(name, records, truth)


async def send_lines(
    producer: AIOKafkaProducer, topic: str, partition: int, lines: list[bytes], times: Iterator[int | None]
) -> None:
    """Hand lines to the producer, in as few batches as they fit into.

    Args:
        producer: the producer.
        topic: name of the topic.
        partition: number of the partition.
        lines: values of the records.
        times: yields the time of each line, in ms since 1970; None = the time when the line is sent.
    """
    batch = producer.create_batch()
    for line in lines:
        time = next(times)
        if batch.append(key=None, value=line, timestamp=time) is None:
            await producer.send_batch(batch, topic, partition=partition)
            batch = producer.create_batch()
            batch.append(key=None, value=line, timestamp=time)
    await producer.send_batch(batch, topic, partition=partition)


def _parts(chunk: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(chunk), _BATCH_LINES):
        yield chunk[start : start + _BATCH_LINES]
