"""Tables as lines of Markdown, and the cells that several tables have: spreads, stalls, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Results = Mapping[str, Any]
UNMEASURED = "(not measured yet)"


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: heads, rule and rows."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [
        "| " + " | ".join(line) + " |" if line[0] != "---" else "|---" * len(heads) + "|" for line in lines
    ]


def yes(result: Results) -> str:
    """Return whether every count of a result was right."""
    return "yes" if result["verified"] else "NO"


def number_of(result: Results, name: str) -> str:
    """Return a figure with one decimal; "" if the result does not have it."""
    return f"{result[name]:.1f}" if name in result else ""


def with_spread(result: Results) -> str:
    """Return the 99th percentile with the smallest and the largest of the runs, and their number."""
    runs = result["runs_p99_ms"]
    return f"{result['p99_ms']} ({min(runs)}-{max(runs)}, {len(runs)})"


def stalls_of(result: Results) -> str:
    """Return the stalls of the event loop with its longest delay, and that of the machine if it was measured."""
    if "loop_stalls" not in result:
        return ""
    machine = f"; {result['machine_delay_ms']:.0f} ms" if "machine_delay_ms" in result else ""
    return f"{result['loop_stalls']} ({result['longest_loop_delay_ms']:.0f} ms{machine})"
