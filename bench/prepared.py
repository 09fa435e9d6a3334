"""A producer with almost no cost: record batches are built before a measurement and sent repeatedly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.client import AIOKafkaClient
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.produce import ProduceRequest

from bench.corpus import zipf_lines

WORDS_PER_LINE = 10
KINDS = 16
"""Default number of different requests, which are sent in turn."""

_LZ4 = 3
_ACKS_ALL = -1
_TIMEOUT_MS = 30_000


@dataclass
class PreparedLoad:
    """Requests to send in turn, each with one batch for every partition.

    Attributes:
        requests: the requests.
        counts: counts of the words of each request.
        lines: records per batch.
        sent: number of requests that `next` has returned.
    """

    requests: Sequence[ProduceRequest]
    counts: Sequence[Counter[bytes]]
    lines: int
    sent: int = 0

    def next(self) -> ProduceRequest:
        """Return the next request in turn."""
        self.sent += 1
        return self.requests[(self.sent - 1) % len(self.requests)]

    def truth(self) -> Counter[bytes]:
        """Return the counts of the words of all requests that `next` has returned."""
        truth: Counter[bytes] = Counter()
        for number, words in enumerate(self.counts):
            times = len(range(number, self.sent, len(self.counts)))
            for word, occurrences in words.items():
                truth[word] += occurrences * times
        return +truth


def prepared_load(topic: str, partitions: int, lines: int, kinds: int = KINDS) -> PreparedLoad:
    """Build `kinds` different requests for a topic, with `lines` lines of the corpus `zipf` per batch."""
    at_once = partitions * lines
    texts = [line for chunk in zipf_lines(at_once * kinds, WORDS_PER_LINE, 5) for line in chunk]
    requests, counts = [], []
    for start in range(0, len(texts), at_once):
        part = texts[start : start + at_once]
        batches = [(p, _batch(part[p * lines : (p + 1) * lines])) for p in range(partitions)]
        requests.append(ProduceRequest(None, _ACKS_ALL, _TIMEOUT_MS, [(topic, batches)]))
        counts.append(Counter(b" ".join(part).split()))
    return PreparedLoad(requests, counts, lines)


async def connected(servers: str) -> tuple[AIOKafkaClient, int]:
    """Return a client of the only broker, which the caller has to close, and the broker's id."""
    client = AIOKafkaClient(bootstrap_servers=servers)
    await client.bootstrap()
    (node,) = (broker.nodeId for broker in client.cluster.brokers())
    return client, node


async def send(client: AIOKafkaClient, node: int, request: ProduceRequest) -> list[tuple[int, int]]:
    """Send a request, wait for its acknowledgement, and return (partition, first offset) of each batch."""
    answer = await client.send(node, request)
    ((_, partitions),) = answer.topics
    refused = [(partition, error) for partition, error, *_ in partitions if error]
    if refused:
        raise SystemExit(f"the broker refuses batches, (partition, error): {refused}")
    return [(partition, offset) for partition, _, offset, *_ in partitions]


def _batch(lines: Sequence[bytes]) -> bytes:
    builder = BatchBuilder(1 << 20, _LZ4)
    for line in lines:
        assert builder.append(timestamp=None, key=None, value=line) is not None, "a batch of more than 1 MiB"
    return bytes(builder._build())
