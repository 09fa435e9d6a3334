"""When a view is ready, and what it says while it is not."""

import pytest

from app.bodies import ReadinessCheck
from app.reads.answers import Behind, FollowerStatus
from app.view.health import NAMED, broker_check, followed_check, restored_check


def status(
    state="following", *, records=0, seconds=0.0, restored=1.0, position: int | None = 7, error=""
) -> FollowerStatus:
    return FollowerStatus(state, position, Behind(records, seconds), restored, error)


@pytest.mark.parametrize(
    ("age_s", "why", "check"),
    [
        (None, "", ReadinessCheck(False, "no broker has answered yet")),
        (None, "refused", ReadinessCheck(False, "no broker has answered yet: refused")),
        (1.25, "", ReadinessCheck(True, "a broker answered 1.2 s ago")),
        (3600.0, "gone", ReadinessCheck(True, "a broker answered 3600.0 s ago: gone")),
    ],
)
def test_a_broker_has_to_have_answered_once_and_its_absence_takes_no_view_away(age_s, why, check):
    assert broker_check(age_s, why) == check


@pytest.mark.parametrize(
    ("partitions", "followed", "why", "check"),
    [
        (None, 0, "", ReadinessCheck(False, "the partitions of the input topic are not known yet")),
        (None, 0, "there is no topic texts", ReadinessCheck(False, "there is no topic texts")),
        (3, 2, "", ReadinessCheck(False, "2 of 3 partitions are followed")),
        (3, 3, "", ReadinessCheck(True, "3 of 3 partitions are followed")),
        (3, 3, "there is no topic texts", ReadinessCheck(True, "3 of 3 partitions are followed")),
    ],
)
def test_all_partitions_have_to_be_followed(partitions, followed, why, check):
    assert followed_check(partitions, followed, why) == check


def test_a_view_that_follows_nothing_is_not_ready():
    assert restored_check({}, {}) == ReadinessCheck(False, "nothing is followed yet")


def test_a_view_that_is_up_to_date_says_how_far_it_is_behind_at_most():
    found = restored_check({0: status(records=1234, seconds=0.5), 1: status(records=7, seconds=2.0)}, {})
    assert found == ReadinessCheck(True, "at most 1,234 changelog records and 2.0 s behind")


def test_a_view_is_not_ready_before_it_shows_a_first_marker():
    found = restored_check({0: status(), 1: status(position=None)}, {})
    assert found == ReadinessCheck(False, "not up to date: 1 (nothing is counted yet)")


def test_each_follower_that_is_not_up_to_date_is_named_with_its_reason():
    found = restored_check(
        {
            3: status("restoring", restored=0.25),
            2: status(),
            1: status("stopped", error="truncated"),
            0: status("restoring", restored=0.0),
        },
        {0: "there is no topic c; start a worker", 2: "not asked any more"},
    )
    assert found == ReadinessCheck(
        False,
        "not up to date: 0 (waits), 1 (truncated), 3 (25% read); there is no topic c; start a worker",
    )


def test_many_followers_that_are_not_up_to_date_are_counted():
    found = restored_check(
        {number: status("restoring", restored=0.0) for number in range(NAMED + 2)},
        dict.fromkeys(range(NAMED + 2), "there is no topic c"),
    )
    assert not found.ok
    assert found.detail.count("waits") == NAMED
    assert found.detail.endswith("9 (waits) and 2 more; there is no topic c")
