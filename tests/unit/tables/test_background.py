"""Threads of lower priority beside the event loop."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from tables.background import NICENESS, runner


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority per thread")
async def test_background_threads_go_behind_the_event_loop() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    mine = niceness()
    run = runner("test", 1)
    assert [await run(niceness) for _ in range(2)] == [min(19, mine + NICENESS)] * 2
    assert niceness() == mine


async def test_a_runner_has_as_many_threads_as_it_was_given() -> None:
    run, both = runner("test", 2), threading.Barrier(2)
    first, second = run(both.wait, 5), run(both.wait, 5)
    assert {await first, await second} == {0, 1}


async def test_a_system_that_refuses_priorities_hinders_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "setpriority", refuse)
    assert await runner("test", 1)(int, "3") == 3
