import asyncio
import time
from collections.abc import Callable, Sized

import pytest

from app.worker.loop_delay import PERIOD_S, watch_loop
from app.worker.metrics import Metrics

STALL_S = 0.2


async def stalled(seen: Sized, delayed: Callable[[float, float], None]) -> None:
    """Stall the loop while it is watched, until `delayed`, which adds to `seen`, was told."""
    watching = asyncio.create_task(watch_loop(delayed))
    async with asyncio.timeout(10):
        while not seen:
            await asyncio.sleep(PERIOD_S)
        before = len(seen)
        time.sleep(STALL_S)  # The stall.
        while len(seen) == before:
            await asyncio.sleep(PERIOD_S)
    watching.cancel()


async def test_a_callback_that_stalls_the_loop_is_seen_in_histogram_and_maximum():
    metrics = Metrics()
    seen: list[float] = []

    def delayed(delay_s: float, by_others_s: float) -> None:
        seen.append(delay_s)
        metrics.loop_delayed(delay_s)

    await stalled(seen, delayed)

    assert max(seen) >= STALL_S - PERIOD_S
    value = metrics.registry.get_sample_value
    assert value("wordcount_event_loop_delay_max_seconds") == max(seen)
    assert value("wordcount_event_loop_delay_seconds_count") == len(seen)
    within = value("wordcount_event_loop_delay_seconds_bucket", {"le": "0.15"})
    assert within == sum(delay_s <= 0.15 for delay_s in seen) < len(seen)


@pytest.mark.parametrize(("clock", "share"), [(lambda: 0.0, 1), (time.monotonic, 0)])
async def test_others_have_caused_the_part_of_a_delay_in_which_the_loop_does_not_work_itself(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float], share: int
):
    monkeypatch.setattr(time, "thread_time", clock)
    seen: list[tuple[float, float]] = []
    await stalled(seen, lambda *delay: seen.append(delay))
    delay_s, by_others_s = max(seen)
    assert by_others_s == pytest.approx(share * delay_s, abs=0.01)


def test_the_maximum_never_falls():
    metrics = Metrics()
    for delay_s in (0.01, 0.3, 0.02):
        metrics.loop_delayed(delay_s)
    assert metrics.registry.get_sample_value("wordcount_event_loop_delay_max_seconds") == 0.3
