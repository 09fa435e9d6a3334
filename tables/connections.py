"""Connections of aiokafka, as every client of this process has them: consumers, producers and those that ask.

Over TLS a connection is closed at once, without the peer's close_notify. uvloop waits 30 s for that where an answer is still under way
(MagicStack/uvloop#471), as that of a fetch always is; asyncio waits until it has come, half a second. Nothing is lost: whatever
was sent and matters has been answered before a client is stopped, and each request and answer says how long it is.
"""

from __future__ import annotations

from typing import Any

from aiokafka import conn


class Connection(conn.AIOKafkaConnection):
    """One connection to one broker."""

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:
        """See aiokafka."""
        writer = self._writer
        closed = super().close(reason, exc)
        if writer is not None and self._ssl_context is not None:
            writer.transport.abort()
        return closed


def install() -> None:
    """Have aiokafka open `Connection`s, in the whole process. Does nothing the second time."""
    conn.AIOKafkaConnection = Connection
