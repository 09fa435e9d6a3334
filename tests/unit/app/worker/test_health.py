from types import SimpleNamespace

import pytest
from faust.types import TP

from app.bodies import ReadinessCheck
from app.reads.answers import PartitionStatus, RestoreStatus
from app.worker.health import Health, assignment_check, broker_check, restored_check
from tables.errors import ConfigurationError


def test_checks_are_asked_anew_each_time():
    found = {"broker": ReadinessCheck(False, "no connection yet")}
    health = Health(
        {
            "broker": lambda: found["broker"],
            "assignment": lambda: ReadinessCheck(True, "3 partitions"),
            "address": lambda: ReadinessCheck(True, "http://127.0.0.1 leads here"),
            "restored": lambda: ReadinessCheck(True, "3 partitions up to date"),
        }
    )
    assert health.checks()["broker"] == ReadinessCheck(False, "no connection yet")
    found["broker"] = ReadinessCheck(True, "connected")
    assert health.checks()["broker"].ok
    assert list(health.checks()) == ["broker", "assignment", "address", "restored", "draining"]


def test_draining_never_ends():
    health = Health(
        {
            "broker": lambda: ReadinessCheck(True, ""),
            "assignment": lambda: ReadinessCheck(True, ""),
            "address": lambda: ReadinessCheck(True, ""),
            "restored": lambda: ReadinessCheck(True, ""),
        }
    )
    assert health.checks()["draining"] == ReadinessCheck(True, "not draining")
    health.start_draining("SIGTERM")
    assert health.checks()["draining"] == ReadinessCheck(False, "SIGTERM")


def test_a_restoring_partition_is_named_and_makes_the_process_unready():
    status = {
        3: PartitionStatus("restoring"),
        1: PartitionStatus("restoring"),
        2: PartitionStatus("counting"),
    }
    assert restored_check(status, {}) == ReadinessCheck(
        False, "restoring 2 of 3 partitions: 1 (waits), 3 (waits)"
    )


def test_a_restore_says_how_far_it_has_come_and_what_is_left():
    status = {
        0: PartitionStatus("restoring", restore=RestoreStatus(0.25, 3_000_000, 12.3)),
        1: PartitionStatus("restoring", restore=RestoreStatus(0.0, 7, None)),
    }
    assert restored_check(status, {}).detail == (
        "restoring 2 of 2 partitions: 0 (25%, 3,000,000 changelog records left, about 12 s), "
        "1 (0%, 7 changelog records left)"
    )


def test_of_many_restores_few_are_described():
    detail = restored_check({number: PartitionStatus("restoring") for number in range(256)}, {}).detail
    assert detail.startswith("restoring 256 of 256 partitions: 0 (waits)")
    assert detail.endswith(" and 246 more")


def test_a_stopped_partition_is_named_but_leaves_the_others_in_service():
    status = {1: PartitionStatus("stopped"), 2: PartitionStatus("counting")}
    assert restored_check(status, {1: "records expired"}) == ReadinessCheck(
        True, "stopped: 1 (records expired)"
    )


def test_restored_partitions_are_counted():
    assert restored_check({1: PartitionStatus("counting")}, {}) == ReadinessCheck(
        True, "1 partitions up to date"
    )


class HeardOf:
    """A membership whose coordinator accepted a heartbeat `age_s` ago; None = no connection yet."""

    session_timeout_s = 10.0

    def __init__(self, age_s: float | None) -> None:
        self.age_s = age_s

    def contact_age_s(self) -> float | None:
        return self.age_s

    def is_member(self) -> bool:
        return self.age_s is not None


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (None, ReadinessCheck(False, "not connected yet")),
        (10.0, ReadinessCheck(True, "last accepted heartbeat 10.0 s ago, limit 10 s")),
        (10.1, ReadinessCheck(False, "last accepted heartbeat 10.1 s ago, limit 10 s")),
    ],
)
def test_brokers_are_reachable_as_long_as_a_heartbeat_is_younger_than_the_session_timeout(age_s, expected):
    assert broker_check(HeardOf(age_s), None) == expected


def test_why_a_broker_does_not_let_the_worker_in_is_told():
    refusal = ConfigurationError("the password is wrong", "mend it")
    assert broker_check(HeardOf(None), refusal).detail == "not connected yet; the password is wrong; mend it"


def test_an_assignment_is_there_when_the_stores_of_its_partitions_are_open():
    taken = [3]
    consumer = SimpleNamespace(membership=HeardOf(1.0), assignment=lambda: {TP("texts", 3), TP("texts", 4)})
    app = SimpleNamespace(
        consumer=consumer, rebalancing=True, partitions=SimpleNamespace(partition_numbers=lambda: taken)
    )
    assert assignment_check(app) == ReadinessCheck(False, "the group is rebalancing")
    app.rebalancing = False
    assert assignment_check(app) == ReadinessCheck(False, "2 partitions assigned, 1 of them opened")
    taken.append(4)
    assert assignment_check(app) == ReadinessCheck(True, "2 partitions assigned, 2 of them opened")
    consumer.membership = HeardOf(None)
    assert assignment_check(app) == ReadinessCheck(False, "not a member of the group yet")
