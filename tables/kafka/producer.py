"""A Kafka producer that is replaced after a failure, rule 15 of ARCHITECTURE.md.

After a batch was refused or timed out, aiokafka's producer is no longer safe for the partition of that batch: either the sequence
number is used up and every later batch fails, or the batch is retried without any time limit and may arrive much later. The only safe
reaction is to discard the producer and to examine the changelog again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tables.errors import BrokerUnavailableError, ConfigurationError, FlushUnknownError
from tables.kafka import client as kafka_client
from tables.kafka.idempotence import idempotent_producer
from tables.kafka.refusals import Refusal, refusal
from tables.kafka.rights import Right, Rights
from tables.model.names import MAX_REQUEST_BYTES
from tables.ports import Result

_log = structlog.get_logger(__name__)

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
"""Names of the compression codecs; the index of a name is its code in a record batch."""


class ReplaceableProducer:
    """An idempotent producer with acks=all, started at the first use on the running event loop.

    Args:
        connection: keyword arguments of every Kafka client: bootstrap_servers, security.
        timeout_s: longest wait, in seconds, for an acknowledgement, however many brokers are asked.
        compression: codec of the written batches, one of `COMPRESSIONS`.
        batch_bytes: size of a full batch, uncompressed.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        timeout_s: float,
        compression: str = "snappy",
        batch_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self.timeout_s = timeout_s
        self._rights = Rights.of(connection)
        self.compression = compression
        self._batch_bytes = batch_bytes
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None
        self._refusals: dict[tuple[str, int], Refusal] = {}
        self._starting = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def get(self) -> AIOKafkaProducer:
        """Return the producer in use; start a producer if there is none.

        Raises:
            BrokerUnavailableError: no producer could be started within `timeout_s`.
        """
        async with self._starting:
            if self._producer is None:
                kafka_client.install()
                producer = idempotent_producer(
                    self._connection,
                    timeout_s=self.timeout_s,
                    compression=self.compression,
                    batch_bytes=self._batch_bytes,
                )
                try:
                    await asyncio.wait_for(producer.start(), self.timeout_s)
                except (KafkaError, TimeoutError, OSError) as error:
                    self._stop(producer)
                    raise BrokerUnavailableError(
                        f"no producer could be started ({error!r})",
                        "check WORDCOUNT_BOOTSTRAP_SERVERS and the brokers",
                    ) from error
                except BaseException:
                    self._stop(producer)  # Usually a cancellation, for example by a rebalance.
                    raise
                producer.client.refusals = self._refusals
                self._producer = producer
            return self._producer

    async def send(
        self, topic: str, send: Callable[[AIOKafkaProducer], Awaitable[Result]], *, what: str, where: str
    ) -> Result:
        """Call `send` with the producer and return its result. If `send` fails, discard the producer.

        Args:
            topic: topic that `send` writes to.
            send: writes records and waits for their acknowledgements; called once, cancelled after `timeout_s`.
            what: name of the written records, for messages.
            where: topic, and partition if there is one, for messages.

        Raises:
            ConfigurationError: the topic refuses the records for good, or this user may not write to the topic.
            FlushUnknownError: not acknowledged in time; the records may be in the log, now or later.
        """
        try:
            producer = await self.get()
        except BrokerUnavailableError as error:
            raise FlushUnknownError(f"{what} cannot be written ({error})") from error
        try:
            async with asyncio.timeout(self.timeout_s):
                with self._rights.needed(Right("Write", "topic", topic)):
                    return await send(producer)
        except ConfigurationError:
            self.discard(producer)
            raise
        except (KafkaError, TimeoutError) as error:
            said = self.refused(topic)
            self.discard(producer)
            if refused := refusal(error, topic, said):
                raise refused from error
            raise FlushUnknownError(f"{where}: not acknowledged ({said or repr(error)})") from error

    def refused(self, topic: str) -> Refusal | None:
        """Return the latest refusal of a write to `topic`; None = there was no refusal within the last `timeout_s` seconds.

        The refused write may be under way again.
        """
        since = asyncio.get_running_loop().time() - self.timeout_s
        found = [
            latest for (name, _), latest in self._refusals.items() if name == topic and latest.at >= since
        ]
        return max(found, key=lambda refusal: refusal.at, default=None)

    def discard(self, producer: AIOKafkaProducer) -> None:
        """Stop `producer` and never use it again; the next `get` starts another producer."""
        if self._producer is producer:
            self._producer = None
            self._stop(producer)

    def release(self, producer: AIOKafkaProducer) -> None:
        """Give `producer` to nobody any more. Whoever has it may go on with partitions that have not failed, and then `stop` it."""
        if self._producer is producer:
            self._producer = None

    def stop(self, producer: AIOKafkaProducer) -> None:
        """Stop a producer that was released and that nobody uses any more."""
        self._stop(producer)

    async def close(self) -> None:
        """Stop all producers, within `timeout_s`. A record that is not sent by then is not lost: no store contains it either."""
        if self._producer is not None:
            self.discard(self._producer)
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=self.timeout_s)

    def _stop(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(self._stop_in_time(producer))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop_in_time(self, producer: AIOKafkaProducer) -> None:
        # `stop` waits for pending batches, which aiokafka retries for ever while the broker does not answer.
        try:
            await asyncio.wait_for(producer.stop(), self.timeout_s)
        except (KafkaError, TimeoutError, OSError) as error:
            _log.warning("a discarded producer did not stop cleanly", error=repr(error))
            # The producer's sender task would go on, and would write the pending batches when the brokers are back.
            if producer._sender is not None:
                await producer._sender.close()
            await producer.client.close()
