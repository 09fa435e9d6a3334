"""The ingest of a worker: sends the texts of HTTP requests to the input topic by one producer, in bounded time and memory.

The producer is not the one of the changelog: what a client sends can neither delay nor fail a flush. A producer whose batch was not
confirmed is thrown away at once, as rule 15 of ARCHITECTURE.md says: so a batch that is in doubt does not arrive much later. One whose
batch was refused is given to no further request, and goes on for those that have it: a refused text fails no other request.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.kafka.clients import connection, step_timeout_s
from app.produce.delivery import BATCH_BYTES, MAX_VALUE_BYTES, Delivery, UndeliveredError
from app.produce.envelope import Envelope
from app.produce.receipt import NotDeliveredError, Receipt, TextTooLongError
from app.produce.record_ids import partition_of, record_ids
from app.produce.refused_records import refusal_of
from tables.errors import BrokerUnavailableError, NotReadyError, OverloadedError, WordcountError
from tables.kafka.producer import ReplaceableProducer
from tables.kafka.refusals import is_refused
from tables.model.names import ID_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.config.settings import Settings

MOST_AT_ONCE: Final = 64
"""Most requests whose texts are being sent. A confirmation takes some milliseconds, so that more wait only while brokers are slow or
away, when each would keep its connection and its texts until the time-out."""

STOP_S: Final = 1.0
"""Longest time, in seconds, for texts that are being sent when the worker stops, and once more for the producer's end."""

_REPEAT: Final = "send the same request again"
_KEY: Final = ", with its Idempotency-Key, by which no text is counted twice"
_NO_KEY: Final = "; texts that are confirmed or in doubt would then be counted twice, unless a request has an Idempotency-Key"


class KafkaIngest:
    """Sends texts to the input topic. Used on one event loop.

    Args:
        settings: settings that were checked.

    Raises:
        ConfigurationError: no record can be made of a text, see `Envelope`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._envelope = Envelope(settings)
        self._timeout_s = step_timeout_s(settings)
        self._longest_bytes = min(MAX_VALUE_BYTES, settings.max_record_bytes)
        self._producer = ReplaceableProducer(
            connection(settings), self._timeout_s, settings.compression, BATCH_BYTES
        )
        self._under_way: set[asyncio.Timeout] = set()
        self._users: Counter[AIOKafkaProducer] = Counter()
        self._released: set[AIOKafkaProducer] = set()
        self._is_closing = False
        self._all_ended = asyncio.Event()

    def check(self) -> None:
        """Return if texts can be sent now; raise as `app.produce.receipt.Ingest` says."""
        if self._is_closing:
            raise NotReadyError("this worker stops", "send the texts to another worker")
        if len(self._under_way) >= MOST_AT_ONCE:
            raise OverloadedError(
                f"the texts of {MOST_AT_ONCE} requests are being sent already",
                "send the texts again in a moment",
            )

    async def send(self, texts: Sequence[str], key: str | None) -> Receipt:
        """Send texts; return and raise as `app.produce.receipt.Ingest` says, within two time-outs of a request."""
        self.check()
        time_ms = int(time.time() * 1000)
        values = [self._envelope.value(text, time_ms) for text in texts]
        self._check_sizes(values)
        sending = _Sending(values, time_ms, texts, key)
        with self._counted(asyncio.timeout(self._timeout_s)) as limit:
            try:
                async with limit:
                    with self._used(await self._producer.get()) as producer:
                        await sending.by(producer, self._settings.topic)
            except (UndeliveredError, BrokerUnavailableError, KafkaError, TimeoutError) as error:
                raise self._failure(error, sending) from error
        return Receipt(len(texts), sending.ends)

    async def close(self) -> None:
        """Take no more texts, wait until those under way are confirmed or told to be in doubt, and stop the producer.

        It takes milliseconds, and while brokers do not answer twice `STOP_S` at most.
        """
        self._is_closing = True
        if self._under_way:
            now_s = asyncio.get_running_loop().time()
            for limit in self._under_way:
                if not limit.expired():
                    limit.reschedule(min(limit.when() or now_s, now_s + STOP_S))
            await self._all_ended.wait()
        self._producer.timeout_s = STOP_S
        await self._producer.close()

    @contextmanager
    def _used(self, producer: AIOKafkaProducer) -> Iterator[AIOKafkaProducer]:
        """Use a producer, and throw it away if it is not safe afterwards."""
        self._users[producer] += 1
        try:
            yield producer
        except (
            BaseException
        ) as error:  # A time-out arrives as a cancellation, and leaves batches in doubt, too.
            cause = error.__cause__ if isinstance(error, UndeliveredError) else None
            if cause is not None and is_refused(cause):
                self._producer.release(producer)
                self._released.add(producer)
            else:
                self._discard(producer)
            raise
        finally:
            self._users[producer] -= 1
            if not self._users[producer]:
                del self._users[producer]
                if producer in self._released:
                    self._released.remove(producer)
                    self._producer.stop(producer)

    def _discard(self, producer: AIOKafkaProducer) -> None:
        if producer in self._released:
            self._released.remove(producer)
            self._producer.stop(producer)
        else:
            self._producer.discard(producer)

    @contextmanager
    def _counted(self, limit: asyncio.Timeout) -> Iterator[asyncio.Timeout]:
        """Count a request while its texts are being sent."""
        self._under_way.add(limit)
        self._all_ended.clear()
        try:
            yield limit
        finally:
            self._under_way.discard(limit)
            if not self._under_way:
                self._all_ended.set()

    def _check_sizes(self, values: Sequence[bytes]) -> None:
        for number, value in enumerate(values, 1):
            if len(value) > self._longest_bytes:
                raise TextTooLongError(
                    f"text {number} makes a record of {len(value):,} bytes, more than {self._longest_bytes:,}; nothing was sent",
                    "split the text",
                )

    def _failure(self, error: BaseException, sending: _Sending) -> NotDeliveredError:
        cause = error.__cause__ if isinstance(error, UndeliveredError) and error.__cause__ else error
        counts = {"accepted": sending.accepted, "in_doubt": sending.in_doubt}
        what = f"{sending.accepted:,} of {len(sending.values):,} texts are confirmed, {sending.in_doubt:,} in doubt"
        if refused := refusal_of(cause, self._settings, what):
            return NotDeliveredError(refused.message, refused.remedy, **counts)
        why = cause.message if isinstance(cause, WordcountError) else self._shown(cause)
        return NotDeliveredError(f"{what}: {why}", _REPEAT + (_KEY if sending.key else _NO_KEY), **counts)

    def _shown(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            return (
                "this worker stops" if self._is_closing else f"no confirmation within {self._timeout_s:g} s"
            )
        return repr(error)


class _Sending:
    """The texts of a request on their way.

    Args:
        values: a value for each text.
        time_ms: time of all records, in ms since 1970.
        texts: the texts.
        key: name of the request; None = it has none.
    """

    def __init__(self, values: Sequence[bytes], time_ms: int, texts: Sequence[str], key: str | None) -> None:
        self.values = values
        self._time_ms = time_ms
        self._texts = texts
        self.key = key
        self._delivery: Delivery | None = None

    async def by(self, producer: AIOKafkaProducer, topic: str) -> None:
        """Send the texts by `producer`, and return when all are confirmed.

        Raises:
            UndeliveredError, KafkaError: they are not.
        """
        partitions = await producer.partitions_for(topic)
        if self.key is None:
            # A partition without a leader would keep these texts waiting, and none of them has to be there.
            usable = list(producer.client.cluster.available_partitions_for_topic(topic) or partitions)
            random.shuffle(usable)
        else:
            usable = [partition_of(self.key, len(partitions))]
        self._delivery = delivery = Delivery(producer, topic, usable, check=_check_offset)
        times_ms = itertools.repeat(self._time_ms)
        if self.key is None:
            await delivery.add(self.values, times_ms)
        else:
            ids = ([(ID_HEADER, one)] for one in record_ids(self.key, self._texts))
            await delivery.add(self.values, times_ms, ids)
        await delivery.finish()

    @property
    def accepted(self) -> int:
        """Number of texts that the brokers have confirmed."""
        return 0 if self._delivery is None else self._delivery.acknowledged

    @property
    def in_doubt(self) -> int:
        """Number of texts that are perhaps in the topic."""
        return 0 if self._delivery is None else self._delivery.in_doubt

    @property
    def ends(self) -> dict[int, int]:
        """Partition -> offset after the last of these texts."""
        return {} if self._delivery is None else self._delivery.ends


def _check_offset(metadata: Any) -> None:
    """Raise KafkaError if a broker has a batch and does not know any more where, so that nobody could wait for it."""
    if metadata.offset < 0:
        raise KafkaError("the broker did not say at which offset the texts are")
