"""The table of `docs/kubernetes.md`, made from the result: `python -m tests.kubernetes.page` writes it between its markers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bench.cells import table_of
from bench.table import with_blocks
from tests.integration.worker import ROOT
from tests.kubernetes.trial import RESULT, read_result

PAGE: Final = ROOT / "docs" / "kubernetes.md"

_SCENARIOS: Final = {
    "install": "installed: ready after",
    "helm_test": "`helm test`",
    "rolling_restart": "rolling restart",
    "upgrade": "upgrade that changes a setting",
    "eviction": "eviction of one worker; a second one is refused meanwhile",
    "killed": "each worker killed, one after the other",
    "state_lost": "volume of a worker emptied, worker killed",
    "broker_away": "broker silent for 20 s: all ready again after",
    "scaled": "scaled 3-1-3-2-3",
    "views": "two views installed",
}


def main() -> None:
    """Bring the page up to date with the result."""
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), read_result()), "utf-8")
    print(f"{PAGE.relative_to(ROOT)} has the figures of {RESULT.relative_to(ROOT)}")


def with_table(text: str, report: Mapping[str, Any]) -> str:
    """Return the text of the page with the table of `report`, and what it ran on."""
    return with_blocks(text, {"scenarios": table(report), "cluster": cluster(report)})


def table(report: Mapping[str, Any]) -> str:
    """Return a row per scenario."""
    rows = []
    for one in report["scenarios"]:
        reads = one.get("reads", {})
        others = {name: count for name, count in reads.items() if name not in {"whole", "503"}}
        name = _SCENARIOS[one["name"]] + (", asked through views" if one["through"] == "views" else "")
        seconds = one.get("ready_s", one.get("seconds"))
        rows.append(
            (
                name,
                "" if seconds is None else f"{seconds} s",
                f"{one['lines']:,}",
                f"{one['words']:,}",
                f"{one['differing']}",
                f"{sum(reads.values()):,}" if reads else "",
                f"{reads.get('503', 0)}" if reads else "",
                ", ".join(f"{count} {what}" for what, count in others.items()) or ("none" if reads else ""),
            )
        )
    heads = (
        "Scenario",
        "Took",
        "Lines sent so far",
        "Counts compared",
        "Differing",
        "Questions meanwhile",
        "Answered 503",
        "Other failures",
    )
    return "\n".join(table_of(heads, rows))


def cluster(report: Mapping[str, Any]) -> str:
    """Return what the trial ran on."""
    machine, versions = report["machine"], report["cluster"]
    return (
        f"Commit {report['commit']}, Kubernetes {versions['kubernetes']} ({versions['runtime']}, nodes: {versions['nodes']}) "
        f"on {machine['cores']} cores ({machine['cpu']}, {machine['memory_gib']} GiB), beside the broker and the sender; "
        f"{report['workers']} workers, {report['seconds']} s in all."
    )


if __name__ == "__main__":
    main()
