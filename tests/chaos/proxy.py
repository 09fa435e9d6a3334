"""A TCP proxy between one worker and the broker that imitates faults of a network: cut, stalled, slow or corrupted connections."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Literal

PRODUCE = 0
"""API key of a produce request."""

THROTTLED_BYTES_PER_S = 1000
_CHUNK = 64 << 10
_THROTTLED_CHUNK = 100
_MAX_FRAME = 8 << 20

Direction = Literal["up", "down"]
"""`up` is from the worker to the broker, `down` from the broker to the worker."""


class TcpProxy:
    """Forwards connections to a port of the broker on loopback; `mode` says what happens to their bytes.

    Attributes:
        mode: one of `MODES`; "pass" forwards all bytes unchanged.
        held: number of produce requests that were held since the last call of `hold`.
    """

    MODES = ("pass", "refuse", "stall-up", "stall-down", "reset", "throttle", "delay", "garbage", "hold")

    def __init__(self, port: int, target_port: int) -> None:
        self.mode = "pass"
        self.held = 0
        self._port = port
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set_mode(self, mode: str) -> None:
        """Treat all bytes as `mode` says from now on; bytes that a stall kept back are sent when the stall ends."""
        assert mode in self.MODES
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self) -> None:
        """Abort all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Hold each produce request, and all later requests of the same connection, until `release`."""
        self.held = 0
        self._released = asyncio.Event()
        self.set_mode("hold")

    def release(self) -> None:
        """Deliver all held requests, also those of workers that have ended."""
        self.set_mode("pass")
        self._released.set()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connect(client_in, client_out)
        except (
            OSError,
            asyncio.CancelledError,
        ):  # Only `close` cancels this task; asyncio would report the cancellation for each connection.
            client_out.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _connect(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            client_out.transport.abort()
            return
        broker_in, broker_out = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers |= {client_out, broker_out}
        down = asyncio.create_task(self._down(broker_in, client_out))
        try:
            # As from the buffer of a socket, requests are delivered even if the worker that sent them has ended meanwhile.
            await self._up(client_in, broker_out)
            if not down.done():
                await asyncio.wait([down], timeout=1)
        finally:
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)
            self._writers -= {client_out, broker_out}
            for writer in (broker_out, client_out):
                writer.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the requests of the worker one by one; hold or reset as `mode` says."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = await reader.readexactly(4)
                length = int.from_bytes(size)
                assert 0 < length < _MAX_FRAME, "no Kafka request"
                frame = size + await reader.readexactly(length)
                if self.mode == "hold" and int.from_bytes(frame[4:6]) == PRODUCE:
                    self.held += 1
                    await self._released.wait()
                if self.mode == "reset":
                    writer.write(frame[: len(frame) // 2])
                    await asyncio.sleep(0.05)
                    self.cut()
                    return
                await self._forward(frame, writer, "up")

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.mode == "garbage":
                    writer.write(os.urandom(64))
                    await asyncio.sleep(0.05)
                    writer.transport.abort()
                    return
                await self._forward(data, writer, "down")
        # Close also after a reset by the broker, because a worker that does not learn of the reset waits for an answer.
        writer.close()

    async def _forward(self, data: bytes, writer: asyncio.StreamWriter, direction: Direction) -> None:
        while self.mode == f"stall-{direction}":
            await self._changed.wait()
        if self.mode == "delay":
            await asyncio.sleep(0.2)
        while data and self.mode == "throttle":
            part, data = data[:_THROTTLED_CHUNK], data[_THROTTLED_CHUNK:]
            writer.write(part)
            await asyncio.sleep(_THROTTLED_CHUNK / THROTTLED_BYTES_PER_S)
        writer.write(data)
        await writer.drain()
