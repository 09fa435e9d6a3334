"""The dead-letter topic: records that could not be counted, as they were read, with where they came from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from tables.errors import BrokerUnavailableError, FlushUnknownError
from tables.producer import ReplaceableProducer
from tables.windows import DeadLetter


class KafkaDeadLetters:
    """Implements `tables.ports.DeadLetters`.

    A record keeps its raw value; its headers are `wordcount-topic`, `wordcount-partition`, `wordcount-offset` and
    `wordcount-reason`, all UTF-8 text. A flush that is repeated after a crash sends its dead letters again: the pair of partition
    and offset identifies them.

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
        """See `DeadLetters.send`."""
        try:
            producer = await self._producer.get()
        except BrokerUnavailableError as error:
            raise FlushUnknownError(f"dead letters cannot be written ({error})") from error
        try:
            async with asyncio.timeout(self._producer.timeout_s):
                sent = [
                    await producer.send(
                        self._topic,
                        value=letter.value,
                        key=b"%d-%d" % (partition, letter.offset),
                        headers=headers,
                    )
                    for letter in letters
                    for headers in [self._headers(partition, letter)]
                ]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            self._producer.discard(producer)
            raise FlushUnknownError(f"{self._topic}: not acknowledged ({error!r})") from error

    def _headers(self, partition: int, letter: DeadLetter) -> list[tuple[str, bytes]]:
        return [
            ("wordcount-topic", self._source_topic.encode()),
            ("wordcount-partition", b"%d" % partition),
            ("wordcount-offset", b"%d" % letter.offset),
            ("wordcount-reason", letter.reason.encode()),
        ]
