"""The dead-letter topic: records that could not be counted, as they were read, with where they came from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from aiokafka import AIOKafkaProducer

from tables.kafka.producer import ReplaceableProducer
from tables.model.names import MAX_REQUEST_BYTES
from tables.model.records import DeadLetter

LETTERS_AT_ONCE = 1000
"""Sent before their acknowledgements are awaited (25 ms): a buffer may hold a million records that cannot be counted."""

MAX_VALUE_BYTES = MAX_REQUEST_BYTES - 10_000
"""Longest value that is sent on; the rest of the largest request is for key and headers."""


class KafkaDeadLetters:
    """Implements `tables.ports.DeadLetters`.

    A record keeps its raw value; its headers are `wordcount-topic`, `wordcount-partition`, `wordcount-offset` and
    `wordcount-reason`, all UTF-8 text. A value of more than `MAX_VALUE_BYTES`, or one that was too large to be kept, is left out and
    a further header, `wordcount-value-bytes`, says how long it is: the record itself is where the other headers say. A flush that is
    repeated after a crash sends its dead letters again: the pair of partition and offset identifies them.

    Args:
        topic: the dead-letter topic.
        source_topic: input topic, named in the headers.
        producer: shared by everything this process writes.
    """

    def __init__(self, topic: str, source_topic: str, producer: ReplaceableProducer) -> None:
        self._topic = topic
        self._source_topic = source_topic
        self._producer = producer

    async def send(self, partition: int, letters: Sequence[DeadLetter]) -> None:
        """See `DeadLetters.send`. Raises ConfigurationError where the topic refuses them for good, or they are not allowed."""
        for start in range(0, len(letters), LETTERS_AT_ONCE):
            some = letters[start : start + LETTERS_AT_ONCE]
            await self._producer.send(
                self._topic,
                partial(self._send, partition, some),
                what="dead letters",
                where=self._topic,
            )

    async def _send(self, partition: int, letters: Sequence[DeadLetter], producer: AIOKafkaProducer) -> None:
        sent = [
            await producer.send(
                self._topic,
                value=None if _left_out_bytes(letter) else letter.value,
                key=b"%d-%d" % (partition, letter.offset),
                headers=self._headers(partition, letter),
            )
            for letter in letters
        ]
        await asyncio.gather(*sent)

    def _headers(self, partition: int, letter: DeadLetter) -> list[tuple[str, bytes]]:
        headers = [
            ("wordcount-topic", self._source_topic.encode()),
            ("wordcount-partition", b"%d" % partition),
            ("wordcount-offset", b"%d" % letter.offset),
            ("wordcount-reason", letter.reason.encode()),
        ]
        if left_out_bytes := _left_out_bytes(letter):
            headers.append(("wordcount-value-bytes", b"%d" % left_out_bytes))
        return headers


def _left_out_bytes(letter: DeadLetter) -> int:
    """Length of a value that is not sent on; 0 = it is."""
    length = letter.left_out_bytes or len(letter.value or b"")
    return length if letter.left_out_bytes or length > MAX_VALUE_BYTES else 0
