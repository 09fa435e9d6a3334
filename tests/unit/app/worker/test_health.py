from app.reads.answers import PartitionStatus, RestoreStatus
from app.web.ports import Check
from app.worker.health import Health, restored_check


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
    assert restored_check(status, {}) == Check(False, "restoring 2 of 3 partitions: 1 (waits), 3 (waits)")


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
    assert restored_check(status, {1: "records expired"}) == Check(True, "stopped: 1 (records expired)")


def test_restored_partitions_are_counted():
    assert restored_check({1: PartitionStatus("counting")}, {}) == Check(True, "1 partitions up to date")
