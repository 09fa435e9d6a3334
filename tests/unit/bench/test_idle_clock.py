"""The clocks that tell delays of the machine from those of what is measured."""

import os

from bench.idle_clock import idle_clocks


def test_each_core_tells_its_longest_delay() -> None:
    with idle_clocks() as longest_s:
        assert longest_s == []
    assert len(longest_s) == len(os.sched_getaffinity(0))
    assert all(0 <= delay_s < 60 for delay_s in longest_s)
