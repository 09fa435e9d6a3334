"""A cancelled wait for a thread ends when the thread ends, not before."""

import asyncio
import gc
from threading import Event

import pytest

from tables.partitions.waiting import cancel, finish_despite_cancel


async def test_a_result_or_an_error_is_passed_on() -> None:
    assert await finish_despite_cancel(asyncio.to_thread(lambda: 5)) == 5
    with pytest.raises(ZeroDivisionError):
        await finish_despite_cancel(asyncio.to_thread(lambda: 1 // 0))


@pytest.mark.parametrize("cancellations", [1, 2, 5])
async def test_cancellations_wait_for_the_thread(cancellations: int) -> None:
    thread: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    leaving = Event()
    waiting = asyncio.create_task(finish_despite_cancel(thread, leaving))
    await asyncio.sleep(0)
    for _ in range(cancellations):
        waiting.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert leaving.is_set()
    thread.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not leaving.is_set()


async def test_a_thread_may_see_that_it_should_leave() -> None:
    leaving = Event()
    waiting = asyncio.create_task(finish_despite_cancel(asyncio.to_thread(leaving.wait, 30), leaving))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancelled_task_has_ended_and_its_error_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    failed, sleeping = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(30))
    await asyncio.sleep(0)
    for task in (failed, sleeping, None):
        await cancel(task)
    assert sleeping.cancelled()
    del failed, task
    gc.collect()
    assert not caplog.records, "asyncio complains of an error that was never retrieved"
