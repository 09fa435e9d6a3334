"""The texts of the trial of reads: a large vocabulary at once, then lines of frequent, rare and new words without end."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from tests.integration.conftest import KafkaClient

WORDS_PER_TEXT = 1000
LINES_PER_S = 300
_CHUNK_S = 0.1
_MOST_TOLD = 200


class Told(NamedTuple):
    """A record that the broker has acknowledged: partition, offset, and a word of the record."""

    partition: int
    offset: int
    word: str


def newest() -> deque[Told]:
    """Return an empty list of records, which keeps the newest ones."""
    return deque(maxlen=_MOST_TOLD)


def texts(vocabulary: int) -> Iterator[bytes]:
    """Yield texts in which each of the words v000000, v000001 and so on occurs once."""
    for first in range(0, vocabulary, WORDS_PER_TEXT):
        yield b" ".join(b"v%06d" % number for number in range(first, min(first + WORDS_PER_TEXT, vocabulary)))


def line(chance: random.Random, vocabulary: int) -> bytes:
    """Return ten words: frequent words w1, w2 and so on, words of the vocabulary, and words that mostly occur for the first time."""
    kinds = chance.choices("wvn", (4, 5, 1), k=10)
    return b" ".join(
        b"w%d" % int(chance.paretovariate(0.8))
        if kind == "w"
        else b"v%06d" % chance.randrange(vocabulary)
        if kind == "v"
        else b"n%06d" % chance.randrange(1_000_000)
        for kind in kinds
    )


async def load(kafka: KafkaClient, topic: str, partitions: int, vocabulary: int) -> None:
    """Append the texts of the vocabulary to all partitions in turn."""
    for partition in range(partitions):
        values = itertools.islice(texts(vocabulary), partition, None, partitions)
        await kafka.produce(topic, values, partition=partition, compression="lz4")


async def go_on(
    servers: str, topic: str, partitions: int, vocabulary: int, seed: int, told: deque[Told]
) -> None:
    """Append `LINES_PER_S` lines a second to all partitions until the task is cancelled; a chunk is acknowledged before the next.

    Acknowledged records are added to `told`.
    """
    chance = random.Random(seed)
    async with AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=5
    ) as producer:
        while True:
            lines = [line(chance, vocabulary) for _ in range(round(LINES_PER_S * _CHUNK_S))]
            sent = [
                await producer.send(topic, text, partition=chance.randrange(partitions)) for text in lines
            ]
            for text, done in zip(lines, await asyncio.gather(*sent), strict=True):
                told.append(Told(done.partition, done.offset, chance.choice(text.split()).decode()))
            await asyncio.sleep(_CHUNK_S)
