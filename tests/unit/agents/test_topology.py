"""Threads of the topology."""

import os

from agents.topology import BULK_NICENESS, _runner


async def test_threads_with_bulk_work_step_back_and_the_event_loop_does_not() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    before = niceness()
    assert await _runner("flush", 1)(niceness) == max(before, BULK_NICENESS)
    assert niceness() == before
