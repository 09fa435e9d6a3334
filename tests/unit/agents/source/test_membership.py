"""The lease of a membership, without a broker."""

from types import SimpleNamespace
from typing import Any

import pytest

from agents.source.membership import BatchConsumerThread
from tables.errors import PartitionsLostError


class Clock:
    def __init__(self) -> None:
        self.time_s = 1000.0

    def __call__(self) -> float:
        return self.time_s


def member(clock: Clock) -> Any:
    """A live member whose heartbeat was accepted just now."""
    thread: Any = BatchConsumerThread.__new__(BatchConsumerThread)
    thread.app = SimpleNamespace(
        conf=SimpleNamespace(broker_session_timeout=30.0), consumer_options=SimpleNamespace(clock=clock)
    )
    thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(generation=1))
    thread.last_contact_s = clock()
    return thread


def test_the_lease_ends_on_the_clock_that_counts_a_suspended_machine() -> None:
    clock = Clock()
    thread = member(clock)
    clock.time_s += 30
    thread.check_membership()
    clock.time_s += 0.1
    with pytest.raises(PartitionsLostError, match=r"the last accepted heartbeat is 30\.1 s old"):
        thread.check_membership()
