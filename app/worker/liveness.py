"""What readiness says of broker and assignment: read from the consumer thread's fields, without asking anybody."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from app.web.ports import Check

if TYPE_CHECKING:
    from app.worker.faust_app import WordcountApp
    from tables.errors import ConfigurationError


def broker_check(faust_app: WordcountApp, refusal: ConfigurationError | None) -> Check:
    """Ok while the group coordinator has accepted a heartbeat within the session timeout.

    Args:
        refusal: why a broker does not let this worker in now; None = all do.
    """
    why = "" if refusal is None else f"; {refusal}"
    thread = faust_app.consumer._thread
    if thread._consumer is None or not hasattr(thread, "last_contact"):
        return Check(False, f"not connected yet{why}")
    age_s = monotonic() - thread.last_contact
    limit_s = faust_app.conf.broker_session_timeout
    return Check(age_s <= limit_s, f"last accepted heartbeat {age_s:.1f} s ago, limit {limit_s:g} s{why}")


def assignment_check(faust_app: WordcountApp) -> Check:
    """Ok once the group has given this worker its share, even if that is nothing, and the stores of that share are open."""
    thread = faust_app.consumer._thread
    if thread._consumer is None or not thread.is_member():
        return Check(False, "not a member of the group yet")
    if faust_app.rebalancing:
        return Check(False, "the group is rebalancing")
    assigned = {tp.partition for tp in faust_app.consumer.assignment()}
    taken = set(faust_app.word_counts.partition_numbers())
    return Check(assigned == taken, f"{len(assigned)} partitions assigned, {len(taken)} of them opened")
