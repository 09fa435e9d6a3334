"""The tables of what is live: from a text to its event, and what many clients of streams cost."""

from __future__ import annotations

from bench.cells import UNMEASURED, Results, stalls_of, table_of, with_spread, yes


def live_table(report: Results) -> str:
    """Return a row with other load, and a row without it."""
    rows = [
        (
            {"live-50-percent": "50% of the capacity", "live-idle": "none"}[result["name"]],
            f"{result['words_per_s'] / 1e6:.2f} M",
            f"{result['flush_ms']}",
            f"{result['interval_ms']}",
            f"{result['texts']:,}",
            f"{result['p50_ms']}",
            with_spread(result),
            f"{result['max_ms']}",
            stalls_of(result),
            _stolen(result),
            yes(result),
        )
        for result in report.get("live", ())
    ]
    heads = (
        "Other load",
        "Words/s",
        "`WORDCOUNT_FLUSH_INTERVAL_MS`",
        "`interval_ms`",
        "Texts",
        "p50 ms",
        "p99 ms (min-max, runs)",
        "Max ms",
        "Loop stalls > 50 ms (longest delay)",
        "Stolen CPU (runs with more: p99 ms)",
        "Every count right",
    )
    return "\n".join(table_of(heads, rows)) if rows else UNMEASURED


def _stolen(result: Results) -> str:
    """Return the largest stolen share of the runs, and the other runs, which do not count, with theirs."""
    others = ", ".join(f"{run['stolen_percent']}%: {run['p99_ms']}" for run in result["disturbed"])
    return f"{result['stolen_percent']}% ({others or 'none'})"


def streams_table(report: Results) -> str:
    """Return a row per load, each with and without clients."""
    rows = [
        (
            {"steady": "2 M words/s", "full": "more than is counted"}[result["name"]],
            f"{result['clients']:,}",
            f"{result['words_per_s_without'] / 1e6:.2f} M",
            f"{result['words_per_s'] / 1e6:.2f} M ({result['share_of_rate_without']:.0%})",
            f"{result['worker_cores_without']:.2f}",
            f"{result['worker_cores']:.2f}",
            f"{result['rss_mb'] - result['rss_mb_without']:+} MiB",
            f"{result['events']:,}",
            f"{result['behind_p50_ms']}",
            f"{result['behind_p99_ms']}",
            f"{result['behind_max_ms']}",
            f"{result['unavailable'] + result['closed']}",
            yes(result),
        )
        for result in report.get("streams", ())
    ]
    heads = (
        "Load",
        "Clients",
        "Words/s without",
        "Words/s with (share)",
        "Cores of the worker without",
        "With",
        "Peak memory",
        "Events",
        "Behind p50 ms",
        "p99 ms",
        "Max ms",
        "Without an answer, or closed",
        "Every count right",
    )
    return "\n".join(table_of(heads, rows)) if rows else UNMEASURED
