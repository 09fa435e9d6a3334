"""The clocks that distinguish delays of the machine from delays of the measured program."""

import os

from bench.idle_clock import idle_clocks


def test_each_core_tells_its_longest_delay() -> None:
    with idle_clocks() as longest_s:
        assert longest_s == []
    assert len(longest_s) == len(os.sched_getaffinity(0))
    assert all(0 <= delay_s < 60 for delay_s in longest_s)
