"""The tables of docs/comparison.md: `python -m bench.peers.table` writes the figures of each result file between its markers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.results import FOLDER, read

PAGE = Path(__file__).parent.parent.parent / "docs" / "comparison.md"
COUNTS, WINDOWS = "peers", "peers-windowed"
"""Names of the result files, and of their markers in the page: counts per word, and counts per word and window."""


def put_into_page() -> None:
    """Put the figures of the result files into the page."""
    text = PAGE.read_text("utf-8")
    for name in (COUNTS, WINDOWS):
        text = with_table(text, result(name), name)
    PAGE.write_text(text, "utf-8")


def result_file(name: str) -> Path:
    """Return the path of a result file."""
    return FOLDER / f"{name}.json"


def result(name: str) -> Mapping[str, Any] | None:
    """Return the content of a result file, or None if there is none."""
    return read(result_file(name)) or None


def with_table(text: str, report: Mapping[str, Any] | None, name: str) -> str:
    """Return `text` with the tables of `report` between the markers of `name`. `text` has each marker once, in this order."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    assert text.count(start) == text.count(end) == 1, f"the page needs {start} and {end} once each"
    block = f"{start}\n{tables(report, name) if report else 'There is no result in this checkout.'}\n{end}"
    return re.sub(f"{start}.*{end}", lambda _: block, text, count=1, flags=re.DOTALL)


def tables(report: Mapping[str, Any], name: str) -> str:
    """Return the table of figures, the machine and the commit, and the table of guarantees and settings per system."""
    machine = report["machine"]
    return "\n".join(
        [
            "| System | Words | Words/s, median | Slowest and fastest | Wordcount is | CPU-s per million words "
            "| Broker CPU-s | Peak memory | Every count right |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_figures(case, report["ratios"].get(case["name"])) for case in report["cases"]),
            "",
            f"Commit {report['commit']}, {machine['cores']} cores ({machine['cpu']}, {machine['system']}, "
            f"Python {machine['python']}), {report['minutes']:g} minutes in all; from "
            f"[bench/results/{name}.json](../bench/results/{name}.json).{_event_time(report)}",
            "",
            "| System | Durability of a count | A run ends when | Settings |",
            "|---|---|---|---|",
            *(_terms(case) for case in report["cases"] if case["cold_or_warm"] == "cold"),
        ]
    )


def _event_time(report: Mapping[str, Any]) -> str:
    if (time := report.get("event_time")) is None:
        return ""
    return f" Windows of {time['window_s']} s: {time['windows']}, with {time['records_per_s']:,} records per second of event time."


def _figures(case: Mapping[str, Any], ratio: Mapping[str, Any] | None) -> str:
    name = f"{case['system']} {case['version']}" + (", warm" if case["cold_or_warm"] == "warm" else "")
    if case["words_per_s"] is None:
        return f"| {name} | {_count(case['words'])} | not measured: {_cell(case['reason'])} | | | | | | NO |"
    rates = case["runs_words_per_s"]
    spread = f"{_count(min(rates))}, {_count(max(rates))} ({len(rates)} runs)"
    times = f"{_digits(ratio['ratio'])}x as fast" if ratio else ""
    right = "yes" if case["verified"] else f"NO: {_cell(case['reason'])}"
    return (
        f"| {name} | {_count(case['words'])} | {_count(case['words_per_s'])} | {spread} | {times} "
        f"| {_digits(case['cpu_s_per_million_words'])} | {_digits(case['broker_cpu_s_per_million_words'])} "
        f"| {case['rss_mb']} MiB | {right} |"
    )


def _terms(case: Mapping[str, Any]) -> str:
    settings = ", ".join(f"`{name}` = `{value}`" for name, value in case["settings"].items())
    return f"| {case['system']} | {_cell(case['guarantee'])} | {_cell(case['clock'])} | {settings} |"


def _digits(number: float) -> str:
    """Format with three significant digits, or with all digits before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _count(number: float) -> str:
    """Format with three significant digits, in thousands or millions."""
    if number >= 1e6:
        return f"{number / 1e6:.3g} M"
    return f"{number / 1e3:.3g} k"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:300]


if __name__ == "__main__":
    put_into_page()
