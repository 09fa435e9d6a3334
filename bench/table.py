"""The tables of measured figures in the documents: `python -m bench.table` writes them between markers, and draws the plot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bench.capacity import capacity_table
from bench.cells import UNMEASURED, Results, number_of, stalls_of, table_of, with_spread, yes
from bench.corpus import CORPORA
from bench.plot import PLOT, plot
from bench.read_tables import (
    group_reads_table,
    http_table,
    reads_table,
    view_delay_table,
    view_table,
    window_reads_table,
)
from bench.results import GROWTH, LATEST, read
from bench.stream_tables import live_table, streams_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PERFORMANCE = ROOT / "docs" / "performance.md"
CAPACITY = ROOT / "docs" / "capacity.md"
RESULT = LATEST
START, END = "<!-- bench -->", "<!-- /bench -->"
GROWING: Mapping[str, tuple[str, str]] = {
    "distinct": ("Distinct words", "10 M words in 10-word lines; all words are equally frequent"),
    "partitions": ("Partitions", "10 M words of the corpus `zipf`"),
    "line": (
        "Words per message",
        "10 M words of the corpus `zipf`; 5 M words in the row with one word per message",
    ),
    "workers": (
        "Workers",
        "30 M words (6 M of the corpus `zipf`, five times), sent during the count; 8 partitions; all processes on the cores above",
    ),
}
"""By part of the growth file: the quantity that grows, and the fixed conditions."""


def main() -> None:
    """Bring all documents and the plot up to date with the result files."""
    latest, growth = read(LATEST), read(GROWTH)
    README.write_text(with_table(README.read_text("utf-8"), latest), "utf-8")
    for page, blocks in pages(latest, growth).items():
        page.write_text(with_blocks(page.read_text("utf-8"), blocks), "utf-8")
    PLOT.write_bytes(plot(latest, growth))


def pages(latest: Results, growth: Results) -> dict[Path, dict[str, str]]:
    """Return, by page, the text between the markers `<!-- NAME -->` and `<!-- /NAME -->`."""
    return {
        PERFORMANCE: {
            "machine": machine_line(latest),
            "cases": cases_table(latest),
            "latency": latency_table(latest),
            "http": http_table(latest),
            "reads": reads_table(latest),
            "group-reads": group_reads_table(latest),
            "restore": restore_table(latest),
            "take-over": take_over_table(latest),
            "windows": windows_table(latest),
            "window-reads": window_reads_table(latest),
            "live": live_table(latest),
            "streams": streams_table(latest),
            "view": view_table(latest),
            "view-delay": view_delay_table(latest),
        },
        CAPACITY: {
            "growth-machine": machine_line(growth),
            "example": capacity_table(latest) if "restore" in latest else UNMEASURED,
            **{f"growth-{part}": growth_table(growth, part) for part in GROWING},
            "growth-expiry": expiry_table(growth),
        },
    }


def with_blocks(text: str, blocks: Mapping[str, str]) -> str:
    """Return `text` with each block between its markers. `text` has each marker once."""
    for name, block in blocks.items():
        text = _with_block(text, f"<!-- {name} -->", f"<!-- /{name} -->", block)
    return text


def with_table(text: str, report: Results) -> str:
    """Return the text of README with the table of `report`."""
    return _with_block(text, START, END, table(report))


def table(report: Results) -> str:
    """Return the table of README: a row per case, and the machine on which the cases were measured."""
    machine = report["machine"]
    rows = [
        (
            case["corpus"],
            f"{case['words'] / 1e6:.3g} M",
            f"`{case['profile']}`",
            f"{case['words_per_s'] / 1e6:.2f} M",
            f"{case['cpu_s_per_million_words']:.2f}",
            f"{case['rss_mb']} MiB",
            yes(case),
        )
        for case in report["cases"]
    ]
    heads = (
        "Text",
        "Words",
        "Profile",
        "Words/s",
        "CPU-s per million words",
        "Peak memory",
        "Every count right",
    )
    return "\n".join(
        [
            *table_of(heads, rows),
            "",
            f"Medians, on {machine['cores']} cores ({machine['cpu']}, {machine['system']}, Python {machine['python']}); "
            "from [bench/results/latest.json](bench/results/latest.json).",
        ]
    )


def machine_line(report: Results) -> str:
    """Return machine, versions and commit of a result file."""
    if not report:
        return UNMEASURED
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in report.get("versions", {}).items())
    commits = sorted(
        {part["commit"] for part in report.get("parts", {}).values()} or {report.get("commit", "")}
    )
    return (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, {machine['system']}, Python "
        f"{machine['python']}{', ' if versions else ''}{versions}; commit {', '.join(commits)}."
    )


def cases_table(report: Results) -> str:
    """Return a row per throughput case, with the spread of its runs."""
    rows = []
    for case in report["cases"]:
        rates = case["runs_words_per_s"]
        rows.append(
            (
                f"`{case['name']}`",
                CORPORA[case["corpus"]].about,
                f"{case['words_per_s'] / 1e6:.2f} M ({min(rates) / 1e6:.2f}-{max(rates) / 1e6:.2f}, {len(rates)})",
                f"{case['records_per_s'] / 1e6:.3g} M",
                f"{case['cpu_s_per_million_words']:.2f} + {case['broker_cpu_s_per_million_words']:.2f}",
                f"{case['rss_mb']}",
                number_of(case, "changelog_bytes_per_word"),
                number_of(case, "disk_bytes_per_word"),
                stalls_of(case),
                yes(case),
            )
        )
    heads = (
        "Case",
        "Text",
        "Words/s (min-max, runs)",
        "Messages/s",
        "CPU-s per M words, worker + broker",
        "Peak MiB",
        "Changelog B/word",
        "Disk B/word",
        "Loop stalls > 50 ms (longest delay)",
        "Every count right",
    )
    return "\n".join(table_of(heads, rows))


def latency_table(report: Results) -> str:
    """Return a row per share of the capacity."""
    rows = [
        (
            f"{result['share_of_capacity']:.0%}",
            f"{result['words_per_s'] / 1e6:.2f} M",
            f"{result['samples']:,}",
            f"{result['p50_ms']}",
            with_spread(result),
            *(f"{result[name]}" for name in ("p999_ms", "max_ms")),
            stalls_of(result),
            yes(result),
        )
        for result in report.get("latency", ())
    ]
    heads = (
        "Load",
        "Words/s",
        "Samples",
        "p50 ms",
        "p99 ms (min-max, runs)",
        "p99.9 ms",
        "Max ms",
        "Loop stalls > 50 ms (longest delay)",
        "Every count right",
    )
    return "\n".join(table_of(heads, rows)) if rows else UNMEASURED


def restore_table(report: Results) -> str:
    """Return the only row of the restore."""
    if "restore" not in report:
        return UNMEASURED
    result = report["restore"]
    rates = result["runs_rows_per_s"]
    row = (
        f"{result['rows'] / 1e6:.2f} M",
        f"{result['seconds']:.1f}",
        f"{result['rows_per_s'] / 1e6:.2f} M ({min(rates) / 1e6:.2f}-{max(rates) / 1e6:.2f}, {len(rates)})",
        f"{result['cpu_s_per_million_rows']:.2f}",
        f"{result['changelog_bytes_per_row']:.1f}",
        f"{result['disk_bytes_per_row']:.1f}",
        f"{result['rss_mb']}",
        stalls_of(result),
        yes(result),
    )
    heads = (
        "Rows",
        "Seconds, including the start",
        "Rows/s (min-max, runs)",
        "CPU-s per M rows",
        "Changelog B/row",
        "Disk B/row",
        "Peak MiB",
        "Loop stalls > 50 ms (longest delay)",
        "Every count right",
    )
    return "\n".join(table_of(heads, [row]))


def windows_table(report: Results) -> str:
    """Return a row per setting of windows, with the share of the rate without windows."""
    if "windows" not in report:
        return UNMEASURED
    rows = [
        (
            f"`{case['windows']}`" if case["windows"] else "none",
            f"{case['words_per_s'] / 1e6:.2f} M ({min(case['runs_words_per_s']) / 1e6:.2f}-"
            f"{max(case['runs_words_per_s']) / 1e6:.2f}, {len(case['runs_words_per_s'])})",
            f"{case['share_of_rate_without']:.0%}",
            f"{case['cpu_s_per_million_words']:.2f}",
            f"{case['broker_cpu_s_per_million_words']:.2f}",
            f"{case['changelog_bytes_per_word']:.2f}",
            f"{case['disk_bytes_per_word']:.2f}",
            f"{case['rss_mb']} MiB",
            yes(case),
        )
        for case in report["windows"]
    ]
    heads = (
        "`WORDCOUNT_WINDOWS`",
        "Words/s (min-max, runs)",
        "Share of the rate without",
        "CPU-s per million words",
        "Broker CPU-s",
        "Changelog bytes a word",
        "Disk bytes a word",
        "Peak memory",
        "Every count of every window right",
    )
    return "\n".join(table_of(heads, rows))


def take_over_table(report: Results) -> str:
    """Return the only row of a standby that takes a partition over."""
    if "take_over" not in report:
        return UNMEASURED
    result = report["take_over"]
    times = result["runs_counting_s"]
    row = (
        f"{result['rows'] / 1e6:.2f} M",
        f"{result['counting_s']:.2f} ({min(times):.2f}-{max(times):.2f}, {len(times)})",
        f"{result['counted_s']:.2f}",
        f"{result['rows_restored']:,}",
        f"{result['noticed_s']:.1f}",
        f"{result['unanswered_s']:.2f}",
        yes(result),
    )
    heads = (
        "Rows",
        "Seconds until it counts again (min-max, runs)",
        "Seconds until a message is counted",
        "Rows restored",
        "Seconds until the group has noticed the kill",
        "Longest time without an answer, s",
        "Every count right",
    )
    return "\n".join(table_of(heads, [row]))


def growth_table(growth: Results, part: str) -> str:
    """Return a row per point of a part of the growth file."""
    if part not in growth.get("parts", {}):
        return UNMEASURED
    heads = (
        GROWING[part][0],
        "Words/s",
        "CPU-s per M words",
        "Peak MiB",
        "Changelog B/word",
        "Disk B/word",
        "Every count right",
    )
    rows = [
        (
            f"{point['value']:,}",
            f"{point['words_per_s'] / 1e6:.2f} M",
            f"{point['cpu_s_per_million_words']:.2f}",
            f"{point['rss_mb']}",
            number_of(point, "changelog_bytes_per_word"),
            number_of(point, "disk_bytes_per_word"),
            yes(point),
        )
        for point in growth["parts"][part]["points"]
    ]
    return "\n".join([f"{GROWING[part][1]}:", "", *table_of(heads, rows)])


def expiry_table(growth: Results) -> str:
    """Return a row for stores and for the changelog: their sizes before, with and after the rows that expire."""
    if "expiry" not in growth.get("parts", {}):
        return UNMEASURED
    (point,) = growth["parts"]["expiry"]["points"]
    names = ("before", "with_rows", "after")
    rows = [
        (
            title,
            *(f"{point[f'{kind}_mb_{name}']:.1f} MiB" for name in names),
            f"{point[f'{kind}_mb_after'] / point[f'{kind}_mb_before']:.2f}",
            yes(point),
        )
        for title, kind in (("Stores", "store"), ("Changelog", "changelog"))
    ]
    heads = (
        "Size on disk of",
        "Before",
        f"With {point['value']:,} rows",
        "After",
        "After / before",
        "Every count right",
    )
    return "\n".join(
        [
            f"{point['value']:,} rows of windows of a minute, written in {point['counted_s']:.0f} s, expire together; "
            f"{point['returned_s']:.0f} s later:",
            "",
            *table_of(heads, rows),
        ]
    )


def _with_block(text: str, start: str, end: str, block: str) -> str:
    assert text.count(start) == text.count(end) == 1, f"{start} and {end} are needed once each"
    return re.sub(
        f"{re.escape(start)}.*{re.escape(end)}",
        lambda _: f"{start}\n{block}\n{end}",
        text,
        count=1,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    main()
