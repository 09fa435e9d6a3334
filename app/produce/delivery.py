"""The delivery of records to the input topic: fills batches, sends them to partitions in turn, and knows what became of each record.

Lines of files and texts of HTTP requests are sent by this module alone.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tables.kafka.refusals import is_refused

MAX_VALUE_BYTES: Final = 1_000_000
"""Largest size of a value together with its key; below the default `message.max.bytes` of brokers, 1,048,588."""

BATCH_BYTES: Final = 65_536
"""Size of a batch, about 1,000 lines. Larger batches are hardly cheaper to read, and a small file would not reach all partitions."""

Headers: TypeAlias = Sequence[tuple[str, bytes]]

_NO_HEADERS: Final[Headers] = []


class UndeliveredError(Exception):
    """A batch was refused or not acknowledged, which is the cause of this error: the delivery has ended."""


class Delivery:
    """Sends records in batches of one partition each. Records keep their order within a partition.

    Args:
        producer: a producer that has started.
        topic: the topic.
        partitions: where the first batch goes, the second one, and so on; after the last one the first again.
        key: key of every record.
        check: may raise an error because of what the brokers say of a batch that they took.

    Attributes:
        acknowledged: records that all in-sync replicas have.
        in_doubt: records that were given to the producer, and are perhaps in the log, now or later.
        ends: partition -> offset after the last acknowledged record of this delivery.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partitions: Iterable[int],
        key: bytes | None = None,
        check: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self.acknowledged = self.in_doubt = 0
        self.ends: dict[int, int] = {}
        self._producer = producer
        self._topic = topic
        self._partitions = itertools.cycle(partitions)
        self._key = key
        self._check = check
        self._batch = producer.create_batch()
        self._pending: set[asyncio.Future[Any]] = set()
        self._error: BaseException | None = None

    async def add(
        self,
        values: Iterable[bytes],
        times_ms: Iterable[int],
        headers: Iterable[Headers] = itertools.repeat(_NO_HEADERS),
    ) -> None:
        """Queue a record for each of `values`, and wait while the brokers are slower; values are asked for one batch after the other.

        Args:
            values: at most `MAX_VALUE_BYTES` each, together with the key.
            times_ms: time of each value in ms since 1970; not shorter than `values`.
            headers: headers of each value; not shorter than `values`.

        Raises:
            UndeliveredError: this batch or an earlier one was refused or not acknowledged.
        """
        key = self._key
        append = self._batch.append
        for value, time_ms, header in zip(values, times_ms, headers, strict=False):
            if append(timestamp=time_ms, key=key, value=value, headers=header) is None:
                await self.flush()
                append = self._batch.append
                append(timestamp=time_ms, key=key, value=value, headers=header)

    async def flush(self) -> None:
        """Send the batch that is being filled. Raise UndeliveredError as `add` does."""
        self._raise_error()
        batch, self._batch = self._batch, self._producer.create_batch()
        if not (count := batch.record_count()):
            return
        try:
            sent = await self._producer.send_batch(batch, self._topic, partition=next(self._partitions))
        except KafkaError as error:
            self._error = error
            raise UndeliveredError from error
        self._pending.add(sent)
        self.in_doubt += count
        sent.add_done_callback(partial(self._settled, count))
        # aiokafka's sender and the acknowledgements need a turn of the event loop, also while many partitions take batches at once.
        await asyncio.sleep(0)

    async def finish(
        self, stall_timeout_s: float | None = None, on_progress: Callable[[], None] = lambda: None
    ) -> None:
        """Send the last batch, and return when every record is acknowledged.

        Args:
            stall_timeout_s: longest time without any acknowledgement; None = no bound.
            on_progress: called after each acknowledgement.

        Raises:
            UndeliveredError: a batch was refused, or nothing was acknowledged for `stall_timeout_s`.
        """
        await self.flush()
        while self._pending and self._error is None:
            done, _ = await asyncio.wait(
                self._pending, timeout=stall_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._error = TimeoutError(f"no acknowledgement for {stall_timeout_s:.0f} s")
            on_progress()
        self._raise_error()

    def _settled(self, count: int, sent: asyncio.Future[Any]) -> None:
        self._pending.discard(sent)
        if sent.cancelled():
            return
        if error := sent.exception():
            self._error = self._error or error
            if is_refused(error):
                self.in_doubt -= count
            return
        self.in_doubt -= count
        self.acknowledged += count
        metadata = sent.result()
        end = metadata.offset + count
        self.ends[metadata.partition] = max(end, self.ends.get(metadata.partition, 0))
        try:
            self._check(metadata)
        except Exception as error:  # noqa: BLE001 - raised again by `add`, `flush` or `finish`
            self._error = self._error or error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise UndeliveredError from self._error
