"""Readiness of the process: four conditions, asked anew each time. Each is read from memory, without asking anybody."""

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
"""Restores that readiness describes; of more it says how many."""


class Health:
    """Answers `checks` from three functions of the process and its own memory of draining.

    Args:
        broker: whether the brokers are reachable.
        assignment: whether the group has given this worker its partitions.
        restored: whether the assigned partitions are up to date, see `restored_check`.

    The functions are called on the event loop for each probe: they return at once and raise nothing.
    """

    def __init__(
        self,
        *,
        broker: Callable[[], ReadinessCheck],
        assignment: Callable[[], ReadinessCheck],
        restored: Callable[[], ReadinessCheck],
    ) -> None:
        self._sources = {"broker": broker, "assignment": assignment, "restored": restored}
        self._draining: str | None = None

    def start_draining(self, reason: str) -> None:
        """Never be ready again: the process is on its way out."""
        self._draining = reason

    def checks(self) -> Mapping[str, ReadinessCheck]:
        """Every check by name, in the order in which a start passes them."""
        found = {name: source() for name, source in self._sources.items()}
        found["draining"] = ReadinessCheck(self._draining is None, self._draining or "not draining")
        return found


def broker_check(membership: BatchConsumerThread, refusal: ConfigurationError | None) -> ReadinessCheck:
    """Ok while the group coordinator has accepted a heartbeat within the session timeout.

    Args:
        refusal: why a broker does not let this worker in now; None = all do.
    """
    why = "" if refusal is None else f"; {refusal}"
    age_s, limit_s = membership.contact_age_s(), membership.session_timeout_s
    if age_s is None:
        return ReadinessCheck(False, f"not connected yet{why}")
    return ReadinessCheck(
        age_s <= limit_s, f"last accepted heartbeat {age_s:.1f} s ago, limit {limit_s:g} s{why}"
    )


def assignment_check(faust_app: WorkerApp) -> ReadinessCheck:
    """Ok once the group has given this worker its share, even if that is nothing, and the stores of that share are open."""
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
    """Ok where no assigned partition is restoring.

    A stopped partition does not make the process unready: the others would be taken out of service with it. Its reason is told.

    Args:
        partitions: status by partition.
        errors: why partitions are stopped.
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
