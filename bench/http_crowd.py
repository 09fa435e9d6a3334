"""A crowd of HTTP clients, a process of its own: clients that ask for top words without a pause, send nothing, or never end a request.

Standard input: a line of JSON `{"url": ..., "tops": n, "idle": n, "slow": n}`, then nothing; the end of standard input stops the
crowd. Standard output: JSON with the number of answers by status, and with the number of connections that were refused or closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from urllib.parse import urlsplit

_AGAIN_S = 0.5
"""Pause before a closed connection is opened again."""

_HEADER_S = 1.0
"""Pause between two headers of a request that never ends."""


async def crowd() -> None:
    """Run all clients until standard input ends."""
    order = json.loads(sys.stdin.readline())
    host, port = urlsplit(order["url"]).hostname, urlsplit(order["url"]).port
    seen: Counter[str] = Counter()

    async def again(behave: object) -> None:
        while True:
            writer = None
            try:
                reader, writer = await asyncio.open_connection(host, port)
                await behave(reader, writer, seen)  # type: ignore[operator]
            except (OSError, asyncio.IncompleteReadError, IndexError, ValueError):
                seen["closed"] += 1
            finally:
                if writer is not None:
                    writer.close()
            await asyncio.sleep(_AGAIN_S)

    kinds = [_ask_for_top] * order["tops"] + [_say_nothing] * order["idle"] + [_never_finish] * order["slow"]
    tasks = [asyncio.create_task(again(kind)) for kind in kinds]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(seen))


async def _ask_for_top(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Counter[str]
) -> None:
    while True:
        writer.write(b"GET /v1/top?k=20 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        seen[head.split(b" ", 2)[1].decode()] += 1


async def _say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter, seen: Counter[str]) -> None:
    if not await reader.read(1):
        seen["closed"] += 1


async def _never_finish(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Counter[str]) -> None:
    writer.write(b"GET /v1/top HTTP/1.1\r\n")
    while True:
        writer.write(b"x-more: y\r\n")
        await writer.drain()
        await asyncio.sleep(_HEADER_S)


if __name__ == "__main__":
    asyncio.run(crowd())
