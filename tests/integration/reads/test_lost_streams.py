"""Clients of `/v1/stream` that lose their connection again and again, at any worker and through kills.

Each event they are told is compared with a recount of the log up to its positions, which never go back.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from tests.fakes.events import Events
from tests.integration.worker import Worker, end_offsets, records_of, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 4
LOST = 50
"""How often each client loses its connection."""
KILLS = {8: 0, 22: 1, 36: 2}
"""After how many lost connections which worker is killed; it is started again at once."""
WORDS = ("w1", "w2", "w7", "r1", "never")
TOP = 10
MOST_EVENTS = 2
"""Most events of a connection before it is lost."""
AGAIN_S = 0.1
PATIENCE_S = 250.0
"""Five times what it takes on two quiet cores."""


@dataclass
class Client:
    """A client that asks a worker of its choice, loses it after an event or two, and goes on at another with the id of its last event.

    Attributes:
        asks: the question of its streams.
        lost: how often it has lost a connection by which it was told something.
        told: the answers of all events in their order.
    """

    workers: Sequence[Worker]
    asks: str
    chance: random.Random
    lost: int = 0
    told: list[Any] = field(default_factory=list)
    last_id: str = ""

    @property
    def as_of(self) -> dict[int, int]:
        """Partition -> next offset to count, of the last answer."""
        return {int(number): offset for number, offset in self.told[-1]["as_of"].items()} if self.told else {}

    async def lose(self, times: int) -> None:
        """Listen until that many connections more are lost."""
        until = self.lost + times
        while self.lost < until:
            self.lost += await self.listen(self.chance.randint(1, MOST_EVENTS))

    async def reach(self, ends: Mapping[int, int]) -> None:
        """Listen until an answer has all that was before `ends`."""
        while any(self.as_of.get(number, 0) < end for number, end in ends.items()):
            await self.listen(MOST_EVENTS)

    async def listen(self, most: int) -> bool:
        """Read so many events at most from a worker; return whether there was an answer among them."""
        before = len(self.told)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        url = (
            f"http://127.0.0.1:{self.chance.choice(self.workers).port}/v1/stream?{self.asks}&interval_ms=250"
        )
        try:
            async with (
                httpx.AsyncClient(timeout=PATIENCE_S) as client,
                client.stream("GET", url, headers=headers) as reply,
            ):
                assert reply.status_code in {200, 503}
                events = Events(reply)
                for _ in range(most if reply.status_code == 200 else 0):
                    event = await events.next()
                    if event is None:
                        break
                    if event.kind in {"snapshot", "change"}:
                        assert event.id is not None
                        self.told.append(event.data)
                        self.last_id = event.id
        except httpx.TransportError:
            await asyncio.sleep(AGAIN_S)
        return len(self.told) > before


class Recount:
    """The counts of a log up to positions that never go back."""

    def __init__(self, records: Sequence[tuple[int, int, bytes | None]]) -> None:
        self._values: dict[int, list[tuple[int, bytes]]] = {number: [] for number in range(PARTITIONS)}
        for number, offset, value in records:
            self._values[number].append((offset, value or b""))
        self._read = dict.fromkeys(self._values, 0)
        self._at = dict.fromkeys(self._values, 0)
        self.counts: Counter[str] = Counter()

    def move(self, as_of: Mapping[str, int]) -> None:
        """Count on up to `as_of`; fail if that is before where it was."""
        assert {int(number) for number in as_of} == self._values.keys()
        for name, position in as_of.items():
            number, values = int(name), self._values[int(name)]
            assert position >= self._at[number], (
                f"partition {number} went back from {self._at[number]} to {position}"
            )
            self._at[number] = position
            while self._read[number] < len(values) and values[self._read[number]][0] < position:
                self.counts.update(values[self._read[number]][1].decode().split())
                self._read[number] += 1

    def top(self) -> list[dict[str, Any]]:
        """Return the most frequent words, as an answer lists them."""
        leading = sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]
        return [{"word": word, "count": times} for word, times in leading]


async def test_clients_that_lose_fifty_connections_through_kills_end_with_the_recount_and_no_position_goes_back(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS)
    three = [await workers().start().wait_ready() for _ in range(3)]
    words = Client(three, "&".join(f"word={word}" for word in WORDS), random.Random(1))
    top = Client(three, f"top={TOP}", random.Random(2))
    async with kafka.endless_lines(workers.topic, chunk=20, pause_s=0.1), asyncio.timeout(PATIENCE_S):
        losing = [asyncio.create_task(client.lose(LOST)) for client in (words, top)]
        for lost, place in KILLS.items():

            async def far(lost: int = lost) -> bool:
                return words.lost >= lost or losing[0].done()

            await wait_for(far, f"{lost} lost connections", PATIENCE_S)
            await three[place].kill()
            three[place].start()
        await asyncio.gather(*losing)
    ends = await end_offsets(kafka.bootstrap_servers, workers.topic)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(words.reach(ends), top.reach(ends))

    assert (words.lost, top.lost) >= (LOST, LOST)
    records = await records_of(kafka.bootstrap_servers, workers.topic)
    recount = Recount(records)
    for answer in words.told:
        recount.move(answer["as_of"])
        assert answer["words"] == [{"word": word, "count": recount.counts[word]} for word in WORDS]
    recount = Recount(records)
    proven = 0
    for answer in top.told:
        recount.move(answer["as_of"])
        # A worker that has just taken a partition over may not know all of its leaders, and says so.
        if answer["exact"]:
            assert answer["words"] == recount.top()
            proven += 1
    assert proven > LOST / 2
    assert top.told[-1]["exact"]
    assert recount.counts.total() == 10 * len(records)
    assert len({tuple(answer["as_of"].values()) for answer in words.told}) > LOST / 2
