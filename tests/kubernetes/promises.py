"""What the chart promises about a trial on a cluster (docs/kubernetes.md), checked against a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MOST_READY_S: Final = 40.0
"""Seconds from the installation to the last ready worker."""

MOST_UNAVAILABLE: Final = 0.001
"""Share of the questions through the Service that may be answered with 503 during a rolling restart."""

EXPECTED: Final = {
    *(
        "install",
        "helm_test",
        "rolling_restart",
        "upgrade",
        "eviction",
        "killed",
        "state_lost",
        "broker_away",
    ),
    *("scaled", "views"),
}
"""Scenarios without which a result says too little."""


def broken_promises(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each promise that the result breaks."""
    found = [
        f"{name} was not run" for name in sorted(EXPECTED - {one["name"] for one in report["scenarios"]})
    ]
    for one in report["scenarios"]:
        found += [f"{one['name']}: {what}" for what in _broken(one)]
    return found


def _broken(one: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if one["differing"]:
        found.append(f"{one['differing']} of {one['words']} counts differ from a recount")
    if one["words"] < 1_000:
        found.append(f"only {one['words']} counts were compared")
    reads = one.get("reads", {})
    if one["through"] and not reads:
        found.append("no question was answered or failed: nothing was asked")
    if reads.get("partial"):
        found.append(f"{reads['partial']} answers were partial although nobody allowed that")
    if one["name"] == "install" and one["ready_s"] > MOST_READY_S:
        found.append(f"ready after {one['ready_s']} s, promised are {MOST_READY_S:.0f} s")
    if one["name"] == "eviction" and one["allowed"] != [True, False]:
        found.append(f"evictions were allowed as {one['allowed']}: the second one has to be refused")
    if one["name"] in {"rolling_restart", "upgrade"}:
        others = {name: count for name, count in reads.items() if name not in {"whole", "503"}}
        if others:
            found.append(f"questions failed: {others}")
        most = 0.0 if one["through"] == "views" else MOST_UNAVAILABLE
        unavailable = reads.get("503", 0)
        if unavailable > most * sum(reads.values()):
            found.append(f"{unavailable} of {sum(reads.values())} answers were 503")
        if reads.get("whole", 0) < 500:
            found.append(f"only {reads.get('whole', 0)} questions were answered")
    return found
