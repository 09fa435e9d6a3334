"""The tables of reads: of one worker, of several workers that ask each other, and of views."""

from __future__ import annotations

from bench.cells import UNMEASURED, Results, stalls_of, table_of, with_spread, yes


def http_table(report: Results) -> str:
    """Return a row for a worker that catches up, and a row for an idle worker."""
    rows = [
        (
            {"http-catching-up": "catching up", "http-idle": "idle"}[result["name"]],
            f"{result['words_per_s'] / 1e6:.2f} M" if "words_per_s" in result else "",
            f"{result['requests']:,}",
            f"{result['p50_ms']}",
            with_spread(result),
            f"{result['max_ms']}",
            stalls_of(result),
            yes(result),
        )
        for result in report.get("http", ())
    ]
    heads = (
        "Worker",
        "Words/s",
        "Requests",
        "p50 ms",
        "p99 ms (min-max, runs)",
        "Max ms",
        "Loop stalls > 50 ms (longest delay)",
        "Every count right",
    )
    return "\n".join(table_of(heads, rows)) if rows else UNMEASURED


def window_reads_table(report: Results) -> str:
    """Return a row per kind of question about windows."""
    names = {"top": "top 100 of a closed minute", "series": "a word in a series of minutes"}
    rows = [
        (
            names[result["name"]],
            f"{result['windows']:,}",
            f"{result['words_per_window']:,}",
            f"{result['partitions']}",
            f"{result['requests']:,}",
            f"{result['p50_ms']}",
            f"{result['p99_ms']}",
            f"{result['max_ms']}",
            f"{result['first_max_ms']}",
            yes(result),
        )
        for result in report.get("window_reads", ())
    ]
    heads = (
        "Request",
        "Windows",
        "Words in each",
        "Partitions",
        "Requests",
        "p50 ms",
        "p99 ms",
        "Max ms",
        "Slowest that was asked first, ms",
        "Every count right",
    )
    return "\n".join(table_of(heads, rows)) if rows else UNMEASURED


def group_reads_table(report: Results) -> str:
    """Return a row per kind of question to three workers, idle and while they catch up."""
    rows = [
        (
            result["load"],
            result["name"].removeprefix("group-").replace("-", " "),
            f"{result['words_per_s'] / 1e6:.2f} M" if result["words_per_s"] else "–",
            f"{result['requests']:,}",
            f"{result['refused']:,}",
            f"{result['proven']:.0%}",
            f"{result['p50_ms']}",
            with_spread(result),
            f"{result['max_ms']}",
            yes(result),
        )
        for result in report.get("group_reads", ())
    ]
    heads = (
        "Load",
        "Request",
        "Words/s",
        "Requests",
        "Refused",
        "Exact",
        "p50 ms",
        "p99 ms (min-max, runs)",
        "Max ms",
        "Verified",
    )
    return "\n".join(table_of(heads, rows)) if rows else UNMEASURED


def reads_table(report: Results) -> str:
    """Return a row per kind of request, crowd and limit of open files; then the cost of the leaders."""
    results = report.get("reads", ())
    rows = [
        (
            result["name"].removeprefix("reads-").replace("-", " "),
            "yes" if result["crowd"] == "crowd" else "no",
            {"as it is": "default"}.get(result["files"], result["files"]),
            f"{result['words_per_s'] / 1e6:.2f} M",
            f"{result['requests']:,}",
            f"{result['refused']:,}",
            f"{result['proven']:.0%}",
            f"{result['p50_ms']}",
            with_spread(result),
            f"{result['max_ms']}",
            stalls_of(result),
            yes(result),
        )
        for result in results
    ]
    heads = (
        "Request",
        "Crowd",
        "Limit of open files",
        "Words/s",
        "Requests",
        "Refused",
        "Exact",
        "p50 ms",
        "p99 ms (min-max, runs)",
        "Max ms",
        "Loop stalls > 50 ms (longest delay)",
        "Every count right",
    )
    if not rows:
        return UNMEASURED
    share = max(result["leaders_share_of_flush"] for result in results)
    return "\n".join(
        [*table_of(heads, rows), "", f"Updating the leaders takes {share:.1%} of the CPU time of a flush."]
    )


def view_table(report: Results) -> str:
    """Return the only row of a view that reads the changelog from its start."""
    if "view_catches_up" not in report:
        return UNMEASURED
    result = report["view_catches_up"]
    rates = result["runs_rows_per_s"]
    row = (
        f"{result['rows'] / 1e6:.2f} M",
        f"{result['seconds']:.1f}",
        f"{result['rows_per_s'] / 1e6:.2f} M ({min(rates) / 1e6:.2f}-{max(rates) / 1e6:.2f}, {len(rates)})",
        f"{result['cpu_s_per_million_rows']:.2f}",
        f"{result['rss_mb']}",
        stalls_of(result),
        yes(result),
    )
    heads = (
        "Rows",
        "Seconds, including the start",
        "Rows/s (min-max, runs)",
        "CPU-s per M rows",
        "Peak MiB",
        "Loop stalls > 50 ms (longest delay)",
        "Every count right",
    )
    return "\n".join(table_of(heads, [row]))


def view_delay_table(report: Results) -> str:
    """Return the only row of a view beside a worker that counts a share of its capacity."""
    if "view_follows" not in report:
        return UNMEASURED
    result = report["view_follows"]
    row = (
        f"{result['share_of_capacity']:.0%}",
        f"{result['words_per_s'] / 1e6:.2f} M",
        f"{result['samples']:,}",
        f"{result['p50_ms']}",
        with_spread(result),
        f"{result['max_ms']}",
        f"{result['behind_p99_s']:.2f}",
        f"{result['behind_max_s']:.2f}",
        stalls_of(result),
        yes(result),
    )
    heads = (
        "Load",
        "Words/s",
        "Samples",
        "p50 ms",
        "p99 ms (min-max, runs)",
        "Max ms",
        "`behind` p99 s",
        "`behind` max s",
        "Loop stalls > 50 ms (longest delay)",
        "Every count right",
    )
    return "\n".join(table_of(heads, [row]))
