"""The command of `make bench`: `python -m bench.run [NAME ...]` measures one worker and a broker on one machine.

NAME is a case of `bench.throughput.CASES`, or `restore`, `http`, `reads`, `group-reads`, `latency`, `views`, `take-over`, `windows`,
`window-reads`, `live` or `streams`. Without names all are measured, and `bench/results/latest.json` is written.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from bench.group_reads import measure_group_reads
from bench.http_load import measure_http
from bench.latency import measure_latency
from bench.live import measure_live
from bench.machine import commit, machine, versions
from bench.reads import measure_reads
from bench.restoring import measure_restore
from bench.results import LATEST, read, write
from bench.rig import Rig, running_rig
from bench.streams import measure_streams
from bench.take_over import measure_take_over
from bench.throughput import CASES, RUNS, group, measure_cases
from bench.views import measure_catching_up, measure_following
from bench.window_reads import measure_window_reads
from bench.windows import measure_windows

CAPACITY_CASE = "zipf-10m-whitespace"
"""The case whose rate is the capacity; latency is measured at shares of this capacity."""

RESTORED_CASE = "distinct-5m"
"""The case whose changelog is restored."""

SECTIONS = (
    "restore",
    "http",
    "reads",
    "group-reads",
    "latency",
    "views",
    "take-over",
    "windows",
    "window-reads",
    "live",
    "streams",
)


def main(names: Sequence[str]) -> None:
    """Measure and print; exit with an error if a count was wrong."""
    known = [*(case.name for case in CASES), *SECTIONS]
    if unknown := set(names) - set(known):
        raise SystemExit(f"no such case: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    started = time.monotonic()
    report: dict[str, Any] = {
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "command": "make bench",
    }
    with running_rig() as rig:
        report |= measured(rig, set(names or known))
    print(*map(line, report["cases"]), f"all in {time.monotonic() - started:.0f} s", sep="\n")
    if names:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        write(LATEST, report)
    if not all_verified(report):
        raise SystemExit("a run counted wrong")


def measured(rig: Rig, names: set[str]) -> dict[str, Any]:
    """Measure `names`, and return the results by section."""
    if {"restore", "views"} & names:
        names.add(RESTORED_CASE)
    report: dict[str, Any] = {"cases": measure_cases(rig, [case for case in CASES if case.name in names])}
    if {"restore", "views"} & names:
        case = next(case for case in CASES if case.name == RESTORED_CASE)
        topic, counted_by = rig.topic(case.corpus, case.lines), group(case, RUNS - 1)
        report["restore"] = measure_restore(rig, topic, counted_by)
        if "views" in names:
            report["view_catches_up"] = measure_catching_up(rig, topic, counted_by, report["restore"]["rows"])
            report["view_follows"] = measure_following(rig, _capacity(report))
    if "http" in names:
        report["http"] = measure_http(rig)
    if "reads" in names:
        report["reads"] = measure_reads(rig)
    if "group-reads" in names:
        report["group_reads"] = measure_group_reads(rig)
    if "latency" in names:
        report["latency"] = measure_latency(rig, _capacity(report))
    if "windows" in names:
        report["windows"] = measure_windows(rig)
    if "window-reads" in names:
        report["window_reads"] = measure_window_reads(rig)
    if "live" in names:
        report["live"] = measure_live(rig, _capacity(report))
    if "streams" in names:
        report["streams"] = measure_streams(rig)
    if "take-over" in names:
        report["take_over"] = measure_take_over(rig)
    return report


def _capacity(report: dict[str, Any]) -> float:
    """Return the words per second of the capacity case: as measured now, else as in the result file."""
    cases = report["cases"] + read(LATEST).get("cases", [])
    rate: float = next(case["words_per_s"] for case in cases if case["name"] == CAPACITY_CASE)
    return rate


def all_verified(report: dict[str, Any]) -> bool:
    """Return whether every count of every measurement was right."""
    sections = (
        "cases",
        "http",
        "reads",
        "group_reads",
        "latency",
        "windows",
        "window_reads",
        "live",
        "streams",
    )
    results = [result for section in sections for result in report.get(section, ())]
    singles = ("restore", "view_catches_up", "view_follows", "take_over")
    results += [report[name] for name in singles if name in report]
    return all(result["verified"] for result in results)


def line(case: dict[str, Any]) -> str:
    """Return a throughput case as one line of text."""
    return (
        f"{case['name']:26} {case['words_per_s'] / 1e6:6.2f} M words/s   {case['cpu_s_per_million_words']:.2f} CPU-s/M   "
        f"{case['rss_mb']:.0f} MB   stalls {case['loop_stalls']}   verified: {case['verified']}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
