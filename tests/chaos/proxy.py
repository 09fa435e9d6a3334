"""A TCP proxy between one worker and the broker that can do what networks do: cut, stall, reset, throttle, delay, corrupt, hold."""

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
"""From the worker to the broker, or back."""


class TcpProxy:
    """Forwards connections to `host:port` of the broker; `mode` changes what becomes of their bytes from then on.

    Attributes:
        mode: see `MODES`; "pass" forwards.
        held: produce requests that wait for `release`.
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
        """Listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        """End all connections and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set_mode(self, mode: str) -> None:
        """Treat all bytes from now on as `mode` says; what a stall kept goes on its way after it."""
        assert mode in self.MODES
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self) -> None:
        """Abort all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Keep each produce request, and what follows it on its connection, until `release`."""
        self.held = 0
        self._released = asyncio.Event()
        self.set_mode("hold")

    def release(self) -> None:
        """Deliver what was held, also of workers that are gone."""
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
        ):  # Only `close` cancels; asyncio would report it for each connection.
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
            # What the worker sent is delivered even where it is gone meanwhile, as from a socket's buffer.
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
        """Frame by frame."""
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
        # Also after a reset by the broker: a worker that were not told would wait for its answer.
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
