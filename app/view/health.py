"""Readiness of a view: whether brokers answer, whether partitions are known, and whether all of them can be answered for."""

from __future__ import annotations

from collections.abc import Mapping

from app.bodies import ReadinessCheck
from app.reads.answers import FollowerStatus

NAMED = 10
"""Largest number of partitions that readiness describes one by one; further partitions are only counted."""

HEARD_S = 30.0
"""A view takes the brokers for unreachable when no follower was at the end of its changelog for this long."""


def followed_check(partitions: int | None, standbys: Mapping[int, FollowerStatus]) -> ReadinessCheck:
    """Check that all partitions of the input topic are followed.

    Args:
        partitions: number of partitions; None = not known yet.
        standbys: status of each follower.
    """
    if partitions is None:
        return ReadinessCheck(False, "the partitions of the input topic are not known yet")
    return ReadinessCheck(
        len(standbys) == partitions, f"{len(standbys)} of {partitions} partitions are followed"
    )


def restored_check(standbys: Mapping[int, FollowerStatus]) -> ReadinessCheck:
    """Check that every follower has read its changelog up to the end once, and has not stopped."""
    waiting = {number: status for number, status in sorted(standbys.items()) if status.state != "following"}
    if not waiting:
        records = max((status.behind.records for status in standbys.values()), default=0)
        seconds = max((status.behind.seconds for status in standbys.values()), default=0.0)
        return ReadinessCheck(True, f"at most {records:,} changelog records and {seconds:.1f} s behind")
    named = [
        f"{number} ({status.error or f'{status.restored:.0%} read'})"
        for number, status in [*waiting.items()][:NAMED]
    ]
    more = f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
    return ReadinessCheck(False, f"not up to date: {', '.join(named)}{more}")


def broker_check(standbys: Mapping[int, FollowerStatus]) -> ReadinessCheck:
    """Check that some follower was at the end of its changelog, as a broker said it, within `HEARD_S`."""
    least_s = min((status.behind.seconds for status in standbys.values()), default=None)
    if least_s is None:
        return ReadinessCheck(False, "nothing is followed yet")
    return ReadinessCheck(
        least_s <= HEARD_S, f"the changelog's end was last read {least_s:.1f} s ago, limit {HEARD_S:g} s"
    )
