"""What readiness says of broker and assignment: read from the consumer thread's fields, without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.web.ports import Check

if TYPE_CHECKING:
    from agents.source.membership import BatchConsumerThread
    from agents.source.worker_app import WorkerApp
    from tables.errors import ConfigurationError


def broker_check(membership: BatchConsumerThread, refusal: ConfigurationError | None) -> Check:
    """Ok while the group coordinator has accepted a heartbeat within the session timeout.

    Args:
        refusal: why a broker does not let this worker in now; None = all do.
    """
    why = "" if refusal is None else f"; {refusal}"
    age_s, limit_s = membership.contact_age_s(), membership.session_timeout_s
    if age_s is None:
        return Check(False, f"not connected yet{why}")
    return Check(age_s <= limit_s, f"last accepted heartbeat {age_s:.1f} s ago, limit {limit_s:g} s{why}")


def assignment_check(faust_app: WorkerApp) -> Check:
    """Ok once the group has given this worker its share, even if that is nothing, and the stores of that share are open."""
    if not faust_app.consumer.membership.is_member():
        return Check(False, "not a member of the group yet")
    if faust_app.rebalancing:
        return Check(False, "the group is rebalancing")
    assigned = {tp.partition for tp in faust_app.consumer.assignment()}
    taken = set(faust_app.word_counts.partition_numbers())
    return Check(assigned == taken, f"{len(assigned)} partitions assigned, {len(taken)} of them opened")
