"""A producer that can be replaced. After a batch was refused or timed out, aiokafka's producer cannot be trusted with its partition:

the sequence number is used up (every later batch fails), or the batch is retried without any time limit and may arrive much later.
Discarding the producer and examining the changelog again is the only safe way on.
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
from tables.kafka.refusals import Refusal, refusal
from tables.kafka.rights import Right, Rights
from tables.model.names import MAX_REQUEST_BYTES
from tables.ports import Result

_log = structlog.get_logger(__name__)

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
"""In the order of their codes in a record batch."""


class ReplaceableProducer:
    """Idempotent, acks=all. Started at first use, on the running event loop.

    Args:
        connection: keyword arguments of every Kafka client: bootstrap_servers, security.
        timeout_s: longest wait for an acknowledgement, whichever brokers are asked for it.
        compression: of what is written, one of `COMPRESSIONS`.
    """

    def __init__(self, connection: Mapping[str, Any], timeout_s: float, compression: str = "snappy") -> None:
        self.timeout_s = timeout_s
        self._rights = Rights.of(connection)
        self.compression = compression
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None
        self._refusals: dict[tuple[str, int], Refusal] = {}
        self._starting = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def get(self) -> AIOKafkaProducer:
        """The producer in use. Raises BrokerUnavailableError."""
        async with self._starting:
            if self._producer is None:
                kafka_client.install()
                producer = AIOKafkaProducer(
                    **self._connection,
                    acks="all",
                    enable_idempotence=True,
                    compression_type=None if self.compression == "none" else self.compression,
                    max_batch_size=MAX_REQUEST_BYTES,
                    max_request_size=MAX_REQUEST_BYTES,
                )
                # How long a batch waits for its turn; the time-out of a request is the connection's.
                producer._request_timeout_ms = int(self.timeout_s * 1000)
                try:
                    await asyncio.wait_for(producer.start(), self.timeout_s)
                except (KafkaError, TimeoutError, OSError) as error:
                    self._stop(producer)
                    raise BrokerUnavailableError(
                        f"no producer could be started ({error!r})",
                        "check WORDCOUNT_BOOTSTRAP_SERVERS and the brokers",
                    ) from error
                except BaseException:
                    self._stop(producer)  # Cancelled, as by a rebalance.
                    raise
                producer.client.refusals = self._refusals
                self._producer = producer
            return self._producer

    async def send(
        self, topic: str, send: Callable[[AIOKafkaProducer], Awaitable[Result]], *, what: str, where: str
    ) -> Result:
        """What `send` returns, which writes to `topic` and waits for the acknowledgements; within `timeout_s`.

        Args:
            topic: that is written.
            send: called once, with the producer, which is discarded where that fails.
            what: what is written, for a message.
            where: where that is written to, for a message.

        Raises:
            ConfigurationError: the topic refuses the records for good, or this user may not write.
            FlushUnknownError: not acknowledged; the records may be written, now or later.
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
        """The latest refusal of a write to `topic`, also one that is tried again; None = there was none lately."""
        since = asyncio.get_running_loop().time() - self.timeout_s
        found = [one for (name, _), one in self._refusals.items() if name == topic and one.at >= since]
        return max(found, key=lambda refusal: refusal.at, default=None)

    def discard(self, producer: AIOKafkaProducer) -> None:
        """Never use `producer` again; the next `get` starts another."""
        if self._producer is producer:
            self._producer = None
            self._stop(producer)

    async def close(self) -> None:
        """Stop within `timeout_s`; nothing is lost by what is not sent: it is in no store either."""
        if self._producer is not None:
            self.discard(self._producer)
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=self.timeout_s)

    def _stop(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(self._stop_in_time(producer))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop_in_time(self, producer: AIOKafkaProducer) -> None:
        # `stop` waits for pending batches, which are retried for ever where the broker is away.
        try:
            await asyncio.wait_for(producer.stop(), self.timeout_s)
        except (KafkaError, TimeoutError, OSError) as error:
            _log.warning("a discarded producer did not stop cleanly", error=repr(error))
            # Its task would go on to send what is pending, and write it when the brokers are back.
            if producer._sender is not None:
                await producer._sender.close()
            await producer.client.close()
