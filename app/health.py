"""Readiness of the process: four conditions, asked anew each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.web.ports import Check, PartitionStatus


class Health:
    """Answers `checks` from three functions of the process and its own memory of draining.

    Args:
        broker: whether the brokers are reachable.
        assignment: whether the group has given this worker its partitions.
        restored: whether the assigned partitions are up to date, see `restored_check`.

    The functions are called on the event loop for each probe: they return at once and raise nothing.
    """

    def __init__(
        self, *, broker: Callable[[], Check], assignment: Callable[[], Check], restored: Callable[[], Check]
    ) -> None:
        self._sources = {"broker": broker, "assignment": assignment, "restored": restored}
        self._draining: str | None = None

    def start_draining(self, reason: str) -> None:
        """Never be ready again: the process is on its way out."""
        self._draining = reason

    def checks(self) -> Mapping[str, Check]:
        """Every check by name, in the order in which a start passes them."""
        found = {name: source() for name, source in self._sources.items()}
        found["draining"] = Check(self._draining is None, self._draining or "not draining")
        return found


def restored_check(partitions: Mapping[int, PartitionStatus], errors: Mapping[int, str]) -> Check:
    """Ok where no assigned partition is restoring.

    A stopped partition does not make the process unready: the others would be taken out of service with it. Its reason is told.

    Args:
        partitions: status by partition.
        errors: why partitions are stopped.
    """
    restoring = [str(number) for number, status in sorted(partitions.items()) if status.state == "restoring"]
    found = [f"restoring: {', '.join(restoring)}"] if restoring else []
    found += [f"stopped: {number} ({errors[number]})" for number in sorted(errors)]
    return Check(not restoring, "; ".join(found) or f"{len(partitions)} partitions up to date")
