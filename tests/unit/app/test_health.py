from app.health import Health, restored_check
from app.web.ports import Check, PartitionStatus


def test_checks_are_asked_anew_each_time():
    found = {"broker": Check(False, "no connection yet")}
    health = Health(
        broker=lambda: found["broker"],
        assignment=lambda: Check(True, "3 partitions"),
        restored=lambda: Check(True, "3 partitions up to date"),
    )
    assert health.checks()["broker"] == Check(False, "no connection yet")
    found["broker"] = Check(True, "connected")
    assert health.checks()["broker"].ok
    assert list(health.checks()) == ["broker", "assignment", "restored", "draining"]


def test_draining_never_ends():
    health = Health(
        broker=lambda: Check(True, ""), assignment=lambda: Check(True, ""), restored=lambda: Check(True, "")
    )
    assert health.checks()["draining"] == Check(True, "not draining")
    health.start_draining("SIGTERM")
    assert health.checks()["draining"] == Check(False, "SIGTERM")


def test_a_restoring_partition_is_named_and_makes_the_process_unready():
    status = {
        3: PartitionStatus("restoring"),
        1: PartitionStatus("restoring"),
        2: PartitionStatus("counting"),
    }
    assert restored_check(status, {}) == Check(False, "restoring: 1, 3")


def test_a_stopped_partition_is_named_but_leaves_the_others_in_service():
    status = {1: PartitionStatus("stopped"), 2: PartitionStatus("counting")}
    assert restored_check(status, {1: "records expired"}) == Check(True, "stopped: 1 (records expired)")


def test_restored_partitions_are_counted():
    assert restored_check({1: PartitionStatus("counting")}, {}) == Check(True, "1 partitions up to date")
