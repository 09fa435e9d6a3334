"""Readiness of a view: whether brokers answer, whether partitions are known, and whether all of them can be answered for."""

from __future__ import annotations

from collections.abc import Mapping

from app.bodies import ReadinessCheck
from app.reads.answers import FollowerStatus

NAMED = 10
"""Largest number of partitions that readiness describes one by one; further partitions are only counted."""


def broker_check(age_s: float | None, why: str) -> ReadinessCheck:
    """Check that a broker has ever answered a look at the input topic.

    Brokers that are away later make no view unready: it goes on answering as of what it has read, and says how far behind that is. All
    views would become unready together, and their Service would refuse every read.

    Args:
        age_s: seconds since a broker last answered a look; None = no broker has answered yet.
        why: why the latest look was in vain; "" = it was not.
    """
    because = f": {why}" if why else ""
    if age_s is None:
        return ReadinessCheck(False, f"no broker has answered yet{because}")
    return ReadinessCheck(True, f"a broker answered {age_s:.1f} s ago{because}")


def followed_check(partitions: int | None, followed: int, why: str) -> ReadinessCheck:
    """Check that all partitions of the input topic are followed.

    Args:
        partitions: number of partitions; None = not known yet.
        followed: number of followers.
        why: why the latest look at the input topic was in vain; "" = it was not.
    """
    if partitions is None:
        return ReadinessCheck(False, why or "the partitions of the input topic are not known yet")
    return ReadinessCheck(followed == partitions, f"{followed} of {partitions} partitions are followed")


def restored_check(standbys: Mapping[int, FollowerStatus], waiting: Mapping[int, str]) -> ReadinessCheck:
    """Check that every follower has read its changelog up to the end once, shows a marker of it, and has not stopped.

    Args:
        standbys: status of each follower.
        waiting: partition -> why its follower cannot begin.
    """
    if not standbys:
        return ReadinessCheck(False, "nothing is followed yet")
    late = {
        number: status
        for number, status in sorted(standbys.items())
        if status.state != "following" or status.position is None
    }
    if not late:
        records = max(status.behind.records for status in standbys.values())
        seconds = max(status.behind.seconds for status in standbys.values())
        return ReadinessCheck(True, f"at most {records:,} changelog records and {seconds:.1f} s behind")
    named = [f"{number} ({_why(status, number in waiting)})" for number, status in [*late.items()][:NAMED]]
    more = f" and {len(late) - NAMED} more" if len(late) > NAMED else ""
    reason = next((f"; {waiting[number]}" for number in late if number in waiting), "")
    return ReadinessCheck(False, f"not up to date: {', '.join(named)}{more}{reason}")


def _why(status: FollowerStatus, waits: bool) -> str:
    if status.state == "following":
        return "nothing is counted yet"
    return status.error or ("waits" if waits else f"{status.restored:.0%} read")
