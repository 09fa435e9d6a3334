"""The dead-letter topic: takes records that could not be counted, or copies of those left out of a window, with their origin."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from aiokafka import AIOKafkaProducer

from tables.kafka.producer import ReplaceableProducer
from tables.model.names import MAX_REQUEST_BYTES
from tables.model.records import DeadLetter

LETTERS_AT_ONCE = 1000
"""Dead letters that are sent before their acknowledgements are awaited (about 25 ms of sending).

Bounded, because a buffer may hold a million records that cannot be counted.
"""

MAX_VALUE_BYTES = MAX_REQUEST_BYTES - 10_000
"""Bytes of the longest value that is sent, inclusive; the rest of the largest request is for key and headers."""


class KafkaDeadLetters:
    """Sends records to the dead-letter topic; implements `tables.ports.DeadLetters`.

    A dead letter has the raw value of its record and the headers `wordcount-topic`, `wordcount-partition`, `wordcount-offset` and
    `wordcount-reason`, all UTF-8 text. A value of more than `MAX_VALUE_BYTES`, or a value that was too large to be kept, is left out;
    a further header, `wordcount-value-bytes`, then says how long the value is. The record itself is still in the input topic, at the
    place that the other headers name. A flush that is repeated after a crash sends its dead letters again: partition and offset
    identify a dead letter.

    Where windows are counted and the time of the record can be read, the header `wordcount-time-ms` has it in milliseconds since 1970.
    It is not the timestamp of the dead letter, for which brokers might delete or refuse it. A letter with one of the reasons `late`,
    `missing_time`, `unreadable_time`, `impossible_time` and `jump` is a copy of a record that is counted in the totals. A record with
    reason `jump` is counted in its window, too, if records after it confirm its time.

    Args:
        topic: the dead-letter topic.
        source_topic: input topic, named in the headers.
        producer: the producer that this process shares for all topics.
    """

    def __init__(self, topic: str, source_topic: str, producer: ReplaceableProducer) -> None:
        self._topic = topic
        self._source_topic = source_topic
        self._producer = producer

    async def send(self, partition: int, letters: Sequence[DeadLetter]) -> None:
        """Send dead letters, see `DeadLetters.send`.

        Raises:
            FlushUnknownError: not acknowledged in time.
            ConfigurationError: the topic refuses the dead letters for good, or this user may not write to the topic.
        """
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
        if letter.time_ms is not None:
            headers.append(("wordcount-time-ms", b"%d" % letter.time_ms))
        return headers


def _left_out_bytes(letter: DeadLetter) -> int:
    """Return the length in bytes of a value that is not sent; 0 = the value is sent."""
    length = letter.left_out_bytes or len(letter.value or b"")
    return length if letter.left_out_bytes or length > MAX_VALUE_BYTES else 0
