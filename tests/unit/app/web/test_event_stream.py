"""sse-starlette as this project uses it: what it does at the end of a process is switched off, and heartbeats come in between.

These tests notice an upgrade of sse-starlette, or of uvicorn, that does more than `app.web.event_stream` knows of.
"""

from __future__ import annotations

import asyncio
import signal

from sse_starlette import sse
from uvicorn import Server

from app.web import event_stream
from app.web.stream_client import RETRY_MS
from tests.unit.app.web.served_streams import Served


async def test_the_library_neither_watches_the_process_nor_ends_streams_by_itself(monkeypatch):
    handler = signal.getsignal(signal.SIGTERM)
    before = {task.get_coro().__name__ for task in asyncio.all_tasks()}
    served = Served()
    async with served.running(), served.stream("top=1&interval_ms=250") as events:
        await events.next()
        running = {task.get_coro().__name__ for task in asyncio.all_tasks()} - before
        assert "_shutdown_watcher" not in running
        assert not getattr(sse._thread_state, "shutdown_state", sse._ShutdownState()).watcher_started
        assert signal.getsignal(signal.SIGTERM) is handler
        monkeypatch.setattr(sse.AppStatus, "should_exit", True)
        served.queries.as_of = {2: 124, 10: 7}
        assert (await events.next()).kind == "change"
        served.audiences.close()
        assert (await events.next()).lines == [f"retry: {RETRY_MS}"]


def test_the_library_still_replaces_only_what_is_never_called():
    """Faust's server takes no signals, so that nobody calls `handle_exit`; were more replaced, this module would have to know."""
    assert Server.handle_exit is sse.AppStatus.handle_exit
    assert sse.AppStatus.original_handler.__module__ == "uvicorn.server"
    replaced = [
        name for name, value in vars(Server).items() if "sse_starlette" in getattr(value, "__module__", "")
    ]
    assert replaced == ["handle_exit"]


async def test_a_quiet_stream_has_heartbeats(monkeypatch):
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.05)
    async with Served().running() as served, served.stream("top=1") as events:
        assert (await events.next()).kind == "snapshot"
        for _ in range(2):
            assert (await events.next()).lines == [": heartbeat"]
