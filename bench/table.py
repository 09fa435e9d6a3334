"""The figures of README, made from the result file: `python -m bench.table` writes them between its two markers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULT = ROOT / "bench" / "results" / "latest.json"
START, END = "<!-- bench -->", "<!-- /bench -->"


def main() -> None:
    """Put the latest figures into README."""
    README.write_text(with_table(README.read_text("utf-8"), json.loads(RESULT.read_bytes())), "utf-8")


def with_table(text: str, report: Mapping[str, Any]) -> str:
    """`text` with the table of `report` between the markers, which it has once each, in this order."""
    assert text.count(START) == text.count(END) == 1, f"README needs {START} and {END} once each"
    block = f"{START}\n{table(report)}\n{END}"
    return re.sub(f"{START}.*{END}", lambda _: block, text, count=1, flags=re.DOTALL)


def table(report: Mapping[str, Any]) -> str:
    """A row per case, and what they were measured on."""
    machine = report["machine"]
    rows = [
        "| Text | Words | Profile | Words/s | CPU-s per million words | Peak memory | Every count right |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in report["cases"]:
        verified = "yes" if case["verified"] else "NO"
        rows.append(
            f"| {case['corpus']} | {case['words'] / 1e6:.3g} M | `{case['profile']}` | {case['words_per_s'] / 1e6:.2f} M "
            f"| {case['cpu_s_per_million_words']:.2f} | {case['rss_mb']} MiB | {verified} |"
        )
    return "\n".join(
        [
            *rows,
            "",
            f"Medians, on {machine['cores']} cores ({machine['cpu']}, {machine['system']}, Python {machine['python']}); "
            "from [bench/results/latest.json](bench/results/latest.json).",
        ]
    )


if __name__ == "__main__":
    main()
