"""The pace of lines with times, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from app.produce.event_pace import EventPace
from app.produce.text_files import LineBlock
from tests.simulation.virtual_time import VirtualLoop


class Clocked:
    """A sink that notes when each line was flushed; from `fails_at_s` on, flushing fails."""

    def __init__(self, fails_at_s: float = float("inf")) -> None:
        self.sent: list[tuple[bytes, float]] = []
        self.flushes = 0
        self._taken: list[bytes] = []
        self._fails_at_s = fails_at_s

    async def add(self, block: LineBlock) -> None:
        self._taken += block.lines

    async def flush(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._fails_at_s:
            raise ConnectionError
        self.flushes += len(self._taken) > 0
        self.sent += [(line, now_s) for line in self._taken]
        self._taken = []


@pytest.fixture
def paced() -> Iterator[Callable[..., Clocked]]:
    """Passes on blocks with the given times, in seconds, at a speed."""
    loop = VirtualLoop()

    def run(speed: float, *blocks: list[float], sink: Clocked | None = None) -> Clocked:
        sink = sink or Clocked()

        async def send() -> None:
            pace = EventPace(sink, speed)
            for times_s in blocks:
                lines = [b"%g" % time_s for time_s in times_s]
                await pace.add(LineBlock("texts", 1, lines, [int(time_s * 1000) for time_s in times_s]))

        loop.run_until_complete(send())
        return sink

    yield run
    loop.close()


@pytest.mark.parametrize("speed", [0.5, 1, 60])
def test_lines_go_when_their_time_comes_at_the_speed(paced: Callable[..., Clocked], speed: float) -> None:
    times_s = [1_000, 1_010, 1_025, 2_000, 100_000]
    sent = paced(speed, times_s[:2], times_s[2:]).sent
    assert [line for line, _ in sent] == [b"%g" % time_s for time_s in times_s]
    for (_, at_s), time_s in zip(sent, times_s, strict=True):
        assert 0 <= at_s - (time_s - 1000) / speed <= 0.05 + 1e-6


def test_a_line_whose_time_goes_back_goes_at_once_and_in_its_place(paced: Callable[..., Clocked]) -> None:
    sent = paced(1, [100, 110, 50, 105], [20, 111]).sent
    assert [line for line, _ in sent] == [b"100", b"110", b"50", b"105", b"20", b"111"]
    assert [round(at_s) for _, at_s in sent] == [0, 10, 10, 10, 10, 11]


def test_lines_close_together_are_sent_together(paced: Callable[..., Clocked]) -> None:
    sink = paced(1, [number / 1000 for number in range(10_000)])
    assert len(sink.sent) == 10_000
    assert sink.flushes <= 10 * 20 + 1


def test_an_error_of_what_was_sent_is_told_within_a_long_pause(paced: Callable[..., Clocked]) -> None:
    sink = Clocked(fails_at_s=10)
    with pytest.raises(ConnectionError):
        paced(1, [0, 1_000_000], sink=sink)
    assert [line for line, _ in sink.sent] == [b"0"]
