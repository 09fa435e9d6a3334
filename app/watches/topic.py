"""The topic of watches: reads all of its records, and appends records.

It is compacted and has one partition, whose order is that in which records were made. Its producer is its own: when a write fails, no
flush of counts has to care.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaProducer, TopicPartition

from app.kafka.clients import connection, reader, step_timeout_s
from tables.errors import BrokerUnavailableError
from tables.kafka.producer import ReplaceableProducer

if TYPE_CHECKING:
    from app.config.settings import Settings

_POLL_MS: Final = 500
_SILENCE_POLLS: Final = 20
"""Polls in a row without a new position after which the broker counts as unavailable."""


class WatchTopic:
    """Used from one event loop. Nothing is connected before the first use.

    Args:
        settings: say where the topic is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.watches
        self._producer = ReplaceableProducer(
            connection(settings), step_timeout_s(settings), settings.compression
        )

    async def read(self) -> Mapping[bytes, bytes]:
        """Return the last value of each key up to the present end, in the order of their records; keys without a value are left out.

        Raises:
            BrokerUnavailableError: no answer.
            ConfigurationError: this user may not read the topic.
        """
        tp = TopicPartition(self._topic, 0)
        found: dict[bytes, bytes] = {}
        async with reader(self._settings, self._topic) as consumer:
            consumer.assign([tp])
            async with asyncio.timeout(step_timeout_s(self._settings)):
                end = (await consumer.end_offsets([tp]))[tp]
                await consumer.seek_to_beginning(tp)
                silent, position = 0, await consumer.position(tp)
            while position < end:
                for records in (await consumer.getmany(tp, timeout_ms=_POLL_MS)).values():
                    for record in records:
                        found.pop(record.key, None)
                        if record.value is not None:
                            found[record.key] = record.value
                before, position = position, await consumer.position(tp)
                silent = silent + 1 if position == before else 0
                if silent > _SILENCE_POLLS:
                    raise BrokerUnavailableError(f"{self._topic}: no answer at offset {position}")
        return found

    async def append(self, records: Mapping[bytes, bytes | None]) -> None:
        """Append records, and wait until the brokers have them.

        Raises:
            FlushUnknownError: not acknowledged in time.
            ConfigurationError: the topic refuses the records for good, or this user may not write to the topic.
        """

        async def send(producer: AIOKafkaProducer) -> None:
            sent = [
                await producer.send(self._topic, value, key=key, partition=0)
                for key, value in records.items()
            ]
            await asyncio.gather(*sent)

        await self._producer.send(self._topic, send, what="what became of watches", where=self._topic)

    async def close(self) -> None:
        """Close the producer."""
        await self._producer.close()
