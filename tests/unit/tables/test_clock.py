"""The clock of leases goes on while the machine is suspended, and shards measure on it."""

import sys
import time
from dataclasses import fields

import pytest

from agents.source.worker_app import ConsumerOptions
from tables import clock
from tables.partitions.services import ShardServices


@pytest.mark.skipif(sys.platform != "linux", reason="the clocks of Linux")
def test_the_clock_counts_the_time_of_a_suspended_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep_s = {time.CLOCK_BOOTTIME: 3600.0}
    real = time.clock_gettime
    before_s = clock.now_s()
    monkeypatch.setattr(time, "clock_gettime", lambda number: real(number) + asleep_s.get(number, 0.0))
    assert 3600 <= clock.now_s() - before_s < 3700


@pytest.mark.parametrize("options", [ConsumerOptions, ShardServices])
def test_lease_and_shards_are_measured_on_this_clock(options: type) -> None:
    defaults = {field.name: field.default for field in fields(options)}
    assert defaults["clock"] is clock.now_s
