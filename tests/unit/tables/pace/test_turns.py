"""How many buffers are flushed and counted at a time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from tables.pace.courtesy import Courtesy
from tables.pace.memory import LARGE_FLUSHES
from tables.pace.turns import LARGE_BUFFER_BYTES, SMALL_COUNTS, TURN_BYTES, FlushTurns

LARGE, SMALL = LARGE_BUFFER_BYTES, LARGE_BUFFER_BYTES - 1


@pytest.mark.parametrize(
    ("at_once", "waits", "free"), [(LARGE_FLUSHES, LARGE, SMALL), (SMALL_COUNTS, SMALL, LARGE)]
)
async def test_buffers_of_one_kind_take_turns_and_the_others_do_not_wait(
    at_once: int, waits: int, free: int
) -> None:
    turns = FlushTurns()
    async with AsyncExitStack() as held:
        for _ in range(at_once):
            await held.enter_async_context(turns.turn(lambda: waits))
        async with turns.turn(lambda: free):
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turns.turn(lambda: waits):
                pass
    async with asyncio.timeout(1), turns.turn(lambda: waits):
        pass


async def test_a_small_buffer_that_is_counted_lets_the_next_one_count_while_it_is_flushed() -> None:
    turns = FlushTurns()
    async with turns.turn(lambda: SMALL) as turn:
        turn.counted()
        turn.counted()
        async with asyncio.timeout(1), turns.turn(lambda: SMALL):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), turns.turn(lambda: SMALL):
                    pass


async def test_buffers_that_became_large_while_they_waited_are_flushed_as_large_ones() -> None:
    turns, sizes = FlushTurns(), [SMALL] * 8
    flushing, most = 0, 0

    async def flush(number: int) -> None:
        nonlocal flushing, most
        async with turns.turn(lambda: sizes[number]) as turn:
            flushing += 1
            most = max(most, flushing)
            await asyncio.sleep(0)
            turn.counted()
            await asyncio.sleep(0)
            flushing -= 1

    async with turns.turn(lambda: SMALL):
        waiting = [asyncio.create_task(flush(number)) for number in range(8)]
        await asyncio.sleep(0)
        sizes = [2 * LARGE] * 8
    await asyncio.gather(*waiting)
    assert most == LARGE_FLUSHES


@pytest.mark.parametrize(
    ("size", "room"), [(TURN_BYTES, 2), (TURN_BYTES + 1, 1), (2 * TURN_BYTES + 2, 0), (100 * TURN_BYTES, 0)]
)
async def test_a_buffer_of_one_huge_record_takes_the_turns_of_several(size: int, room: int) -> None:
    turns = FlushTurns()
    async with AsyncExitStack() as held:
        await held.enter_async_context(turns.turn(lambda: size))
        for _ in range(room):
            await held.enter_async_context(turns.turn(lambda: LARGE))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turns.turn(lambda: LARGE):
                pass


async def test_who_gives_up_waiting_for_several_turns_gives_those_back_that_it_has() -> None:
    turns = FlushTurns()
    async with turns.turn(lambda: LARGE):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turns.turn(lambda: 100 * TURN_BYTES):
                pass
    async with asyncio.timeout(1), turns.turn(lambda: 100 * TURN_BYTES):
        pass


class Pausing(Courtesy):
    """Pauses for `seconds` after each flush."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    @property
    def alone(self) -> bool:
        return self.seconds > 0

    def pause_s(self, busy_s: float) -> float:
        return self.seconds


async def test_the_turn_of_a_large_buffer_is_free_again_only_after_the_pause() -> None:
    courtesy = Pausing(0.1)
    turns, begun_s = FlushTurns(courtesy), monotonic()
    for _ in range(3):
        async with asyncio.timeout(1), turns.turn(lambda: LARGE):
            pass
    assert monotonic() - begun_s >= 0.2
    courtesy.seconds = 0.0
    async with asyncio.timeout(1), turns.turn(lambda: LARGE):
        pass
    async with asyncio.timeout(0.05), turns.turn(lambda: LARGE):
        pass


async def test_partitions_that_have_caught_up_never_pause() -> None:
    turns = FlushTurns(Pausing(60.0))
    for _ in range(3):
        async with asyncio.timeout(1), turns.turn(lambda: SMALL):
            pass


async def test_large_buffers_are_flushed_one_at_a_time_while_the_process_pauses() -> None:
    turns = FlushTurns(Pausing(0.01))
    async with turns.turn(lambda: LARGE):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), turns.turn(lambda: LARGE):
                pass


async def test_who_waits_for_all_flushes_does_not_wait_for_pauses() -> None:
    turns = FlushTurns(Pausing(60.0))
    async with turns.turn(lambda: LARGE):
        pass
    with turns.hurried():
        for _ in range(3):
            async with asyncio.timeout(1), turns.turn(lambda: LARGE):
                pass
    async with asyncio.timeout(1), turns.turn(lambda: LARGE):
        pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), turns.turn(lambda: LARGE):
            pass
