"""A crowd of clients of `/v1/stream`, a process of its own: how far each is behind what the worker could have told it.

Standard input: a line of JSON `{"url": ..., "paths": [...], "clients": n}`, then nothing; the end of standard input stops the crowd.
The clients take the paths in turn. Positions that are visible are asked of `/v1/stats`. A client is behind from the moment when newer
positions are visible than those of its last event until its next event. What comes before all clients have their first event is left
out. Standard output: JSON with `told` = number of events, `behind` = seconds for each of these, `longest_s` = longest time that a
client was behind, also at the end, `unavailable` = events without an answer, `closed` = connections that were refused or closed.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from bisect import bisect_right
from urllib.parse import urlsplit

_ASK_EVERY_S = 0.1
_AT_ONCE = 50
"""Connections that are opened together."""

_ID = re.compile(rb"^id: ([0-9:,]+)$", re.MULTILINE)
_END = b"\n\n"


class Crowd:
    """The clients and the positions that they could have seen.

    Attributes:
        behind: seconds that each event ended.
    """

    def __init__(self, clients: int) -> None:
        self.clients = [Client(self) for _ in range(clients)]
        self.behind: list[float] = []
        self.unavailable = self.closed = 0
        self._sums: list[int] = []
        self._times: list[float] = []
        self.began = asyncio.Event()

    def visible(self, as_of: dict[str, int]) -> None:
        """Note that these positions are visible now."""
        position = sum(as_of.values())
        if not self._sums or position > self._sums[-1]:
            self._sums.append(position)
            self._times.append(time.perf_counter())

    def begin_if_all_are_told(self) -> None:
        """Begin to measure when each client has an event."""
        if not self.began.is_set() and all(client.position for client in self.clients):
            self.began.set()

    def behind_of(self, position: int, now: float) -> float:
        """Return for how many seconds more than `position` has been visible at `now`."""
        newer = bisect_right(self._sums, position)
        return max(0.0, now - self._times[newer]) if newer < len(self._sums) else 0.0


class Client(asyncio.Protocol):
    """A client of one stream; `position` is the sum of the positions of its last event."""

    def __init__(self, crowd: Crowd) -> None:
        self.position = 0
        self._crowd = crowd
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        """Take the events that are whole."""
        *events, self._unread = (self._unread + data).split(_END)
        for event in events:
            found = _ID.search(event)
            if found is not None:
                self._told(sum(int(part.split(b":")[1]) for part in found[1].split(b",")))
            elif b"event: unavailable" in event:
                self._crowd.unavailable += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that the worker closed."""
        self._crowd.closed += 1

    def _told(self, position: int) -> None:
        crowd = self._crowd
        if crowd.began.is_set():
            crowd.behind.append(crowd.behind_of(self.position, time.perf_counter()))
        self.position = position
        crowd.begin_if_all_are_told()


async def crowd() -> None:
    """Let all clients listen until standard input ends."""
    order = json.loads(sys.stdin.readline())
    host, port = urlsplit(order["url"]).hostname, urlsplit(order["url"]).port
    crowd, loop = Crowd(order["clients"]), asyncio.get_running_loop()
    transports: list[asyncio.Transport] = []

    async def connect(number: int, client: Client) -> None:
        transport, _ = await loop.create_connection(lambda: client, host, port)
        path = order["paths"][number % len(order["paths"])]
        transport.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        transports.append(transport)

    asking = asyncio.create_task(_ask(host, port, crowd))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    for first in range(0, len(crowd.clients), _AT_ONCE):
        some = enumerate(crowd.clients[first : first + _AT_ONCE], first)
        await asyncio.gather(*(connect(number, client) for number, client in some))
    await ended
    asking.cancel()
    now, closed = time.perf_counter(), crowd.closed
    late = [crowd.behind_of(client.position, now) for client in crowd.clients]
    for transport in transports:
        transport.abort()
    print(
        json.dumps(
            {
                "told": len(crowd.behind),
                "behind": crowd.behind,
                "longest_s": max([*crowd.behind, *late]) if crowd.began.is_set() else None,
                "unavailable": crowd.unavailable,
                "closed": closed,
            }
        )
    )


async def _ask(host: str | None, port: int | None, crowd: Crowd) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while True:
            writer.write(b"GET /v1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            crowd.visible(body.get("as_of", {}))
            await asyncio.sleep(_ASK_EVERY_S)
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(crowd())
