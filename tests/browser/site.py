"""What the pages of the tests show: a topic with a text in it, and the worker that counts it."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

from tests.integration.worker import Worker, wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS: Final = 2
TEXT: Final = (
    "the quick brown fox jumps over the lazy dog",
    "the dog barks and the fox runs",
    "a river runs through the valley of the fox",
)
PAST_MINUTES: Final = (120, 60, 5, 4, 3, 2, 1, 0)
"""When the text happened: in each of the last minutes, and in two hours that are over."""


class Site:
    """A topic, who counts it, and how to add to it; shared by all tests, each of which uses words of its own.

    Args:
        kafka: client of the broker.
        workers: makes workers on one topic.
    """

    def __init__(self, kafka: KafkaClient, workers: Workers) -> None:
        self._kafka = kafka
        self.workers = workers
        self.worker = self.new_worker()

    def new_worker(self) -> Worker:
        return self.workers(windows="1m,1h", flush_interval_ms=100, ingest=True)

    async def start(self) -> None:
        """Start the worker, and let it count a text that has happened several times."""
        await self._kafka.create_topic(self.workers.topic, PARTITIONS)
        self.worker.start()
        now_ms = int(time.time() * 1000)
        values, times = [], []
        for minutes in PAST_MINUTES:
            values += [line.encode() for line in TEXT]
            times += [now_ms - minutes * 60_000] * len(TEXT)
        for partition in range(PARTITIONS):
            await self._kafka.produce(self.workers.topic, values, times=times, partition=partition)
        await self.worker.wait_ready()
        await self.counted(self.worker)

    async def send(self, *words: str, times: int = 1) -> None:
        """Append a record with each of the words, repeated; return when it is acknowledged."""
        await self._kafka.produce(self.workers.topic, [" ".join(words * times).encode()])

    async def counted(self, *workers: Worker) -> None:
        """Wait until each of the workers answers for all that was sent."""
        await wait_counted(workers, self.workers.bootstrap_servers, self.workers.topic)

    async def highest(self) -> int:
        """Return the count of the most frequent word."""
        return int((await self.worker.json("/v1/top", k=1))["words"][0]["count"])


def new_word(stem: str) -> str:
    """Return a word that no other test uses, and that begins with `stem`."""
    return f"{stem}{uuid.uuid4().hex[:8]}"
