"""Readiness of the process: five checks, each made again for every probe, from memory and without a request to a broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from app.bodies import ReadinessCheck
from app.reads.answers import PartitionStatus, RestoreStatus

if TYPE_CHECKING:
    from agents.source.membership import BatchConsumerThread
    from agents.source.worker_app import WorkerApp
    from tables.errors import ConfigurationError

NAMED = 10
"""Largest number of restores that readiness describes one by one; further restores are only counted."""


class Health:
    """Makes the checks of readiness: some by functions of the process, and whether the process is draining.

    The functions are called on the event loop for each probe, so they must return immediately and raise nothing.

    Args:
        checks: makes each check, by its name, in the order in which a starting process passes the checks.
    """

    def __init__(self, checks: Mapping[str, Callable[[], ReadinessCheck]]) -> None:
        self._checks = checks
        self._draining: str | None = None

    @property
    def is_draining(self) -> bool:
        """Whether the process is about to end."""
        return self._draining is not None

    def start_draining(self, reason: str) -> None:
        """Make readiness false for ever, because the process is about to end; `reason` is shown in the check."""
        self._draining = reason

    def checks(self) -> Mapping[str, ReadinessCheck]:
        """Return every check by name, in the order in which a starting process passes the checks."""
        found = {name: check() for name, check in self._checks.items()}
        found["draining"] = ReadinessCheck(self._draining is None, self._draining or "not draining")
        return found


def broker_check(membership: BatchConsumerThread, refusal: ConfigurationError | None) -> ReadinessCheck:
    """Check that the group coordinator has accepted a heartbeat within the session time-out.

    Args:
        membership: the consumer's thread.
        refusal: why a broker refuses this worker now; None = no broker does.
    """
    why = "" if refusal is None else f"; {refusal}"
    age_s, limit_s = membership.contact_age_s(), membership.session_timeout_s
    if age_s is None:
        return ReadinessCheck(False, f"not connected yet{why}")
    return ReadinessCheck(
        age_s <= limit_s, f"last accepted heartbeat {age_s:.1f} s ago, limit {limit_s:g} s{why}"
    )


def assignment_check(faust_app: WorkerApp) -> ReadinessCheck:
    """Check that the group has assigned partitions to this worker, perhaps none, and that the stores of these partitions are open."""
    if not faust_app.consumer.membership.is_member():
        return ReadinessCheck(False, "not a member of the group yet")
    if faust_app.rebalancing:
        return ReadinessCheck(False, "the group is rebalancing")
    assigned = {tp.partition for tp in faust_app.consumer.assignment()}
    taken = set(faust_app.partitions.partition_numbers())
    return ReadinessCheck(
        assigned == taken, f"{len(assigned)} partitions assigned, {len(taken)} of them opened"
    )


def restored_check(partitions: Mapping[int, PartitionStatus], errors: Mapping[int, str]) -> ReadinessCheck:
    """Check that no assigned partition is restoring.

    A stopped partition does not make the process unready, because the other partitions would be taken out of service, too. The check
    says why the partition stopped.

    Args:
        partitions: status by partition.
        errors: reason by stopped partition.
    """
    restoring = {
        number: status for number, status in sorted(partitions.items()) if status.state == "restoring"
    }
    found = []
    if restoring:
        named = [_restore_text(number, status.restore) for number, status in [*restoring.items()][:NAMED]]
        more = f" and {len(restoring) - NAMED} more" if len(restoring) > NAMED else ""
        found = [f"restoring {len(restoring)} of {len(partitions)} partitions: {', '.join(named)}{more}"]
    found += [f"stopped: {number} ({errors[number]})" for number in sorted(errors)]
    return ReadinessCheck(not restoring, "; ".join(found) or f"{len(partitions)} partitions up to date")


def _restore_text(number: int, restore: RestoreStatus | None) -> str:
    if restore is None:
        return f"{number} (waits)"
    left = f"{restore.records_left:,} changelog records left"
    seconds = "" if restore.seconds_left is None else f", about {restore.seconds_left:.0f} s"
    return f"{number} ({restore.share:.0%}, {left}{seconds})"
