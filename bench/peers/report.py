"""The result of a comparison: a row per case, ratios, and what is printed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.machine import commit, machine
from bench.peers.system import Outcome, System

OURS = "wordcount"
"""Name of the case, and start of the names of cases, that the others are compared with."""


def rows(
    system: System, words: int, runs: Sequence[Sequence[Outcome]], failure: str | None
) -> list[dict[str, Any]]:
    """A row per case of a system.

    Args:
        system: what ran.
        words: in its topic.
        runs: outcomes of each run, one per case.
        failure: why a run broke off or could not begin; None = none did.
    """
    found = []
    for number, (name, temperature) in enumerate(system.cases):
        outcomes = [run[number] for run in runs]
        wrong = failure or next((outcome.wrong for outcome in outcomes if outcome.wrong), None)
        found.append(
            {
                "name": name,
                "system": system.title,
                "version": system.version,
                "words": words,
                **_figures(outcomes, words),
                "verified": bool(outcomes) and wrong is None,
                **({"reason": wrong} if wrong else {}),
                "guarantee": system.guarantee,
                "clock": system.clock,
                "settings": dict(system.settings),
                "cold_or_warm": temperature,
            }
        )
    return found


def _figures(outcomes: Sequence[Outcome], words: int) -> dict[str, Any]:
    if not outcomes:
        return {
            "words_per_s": None,
            "cpu_s_per_million_words": None,
            "broker_cpu_s_per_million_words": None,
            "rss_mb": None,
            "runs_words_per_s": [],
        }
    spans = [outcome.span for outcome in outcomes]
    rates = [words / span.seconds for span in spans]
    millions = words / 1e6
    return {
        "words_per_s": round(statistics.median(rates)),
        "cpu_s_per_million_words": round(statistics.median(w.cpu_s for w in spans) / millions, 3),
        "broker_cpu_s_per_million_words": round(
            statistics.median(w.broker_cpu_s for w in spans) / millions, 3
        ),
        "rss_mb": round(max(span.rss_mb for span in spans)),
        "runs_words_per_s": [round(rate) for rate in rates],
    }


def ratios(cases: Sequence[Mapping[str, Any]], expected: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """By case of another system: Wordcount's words a second as a multiple of its own.

    Wordcount's case with as many words is taken where there is one, else the one with the most words: systems that count a
    small part of the corpus are not slower with more of it, and Wordcount's rate in a part of a second means little.
    """
    ours = {case["words"]: case["words_per_s"] for case in cases if _is_ours(case) and case["words_per_s"]}
    found = {}
    for case in cases:
        if _is_ours(case) or not case["words_per_s"] or not ours:
            continue
        words = case["words"] if case["words"] in ours else max(ours)
        ratio = round(ours[words] / case["words_per_s"], 2)
        found[case["name"]] = {"ratio": ratio, "against_words": words}
        if (least := expected.get(case["name"])) is not None:
            found[case["name"]] |= {"expected": least, "holds": ratio >= least}
    return found


def report(
    cases: Sequence[Mapping[str, Any]], expected: Mapping[str, float], minutes: float
) -> dict[str, Any]:
    """What the result file holds."""
    return {
        "commit": commit(),
        "machine": machine(),
        "command": "make bench-peers",
        "minutes": round(minutes, 1),
        "cases": list(cases),
        "ratios": ratios(cases, expected),
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """For a terminal."""
    found = []
    for case in result["cases"]:
        if case["words_per_s"] is None:
            found.append(f"{case['name']:18} NOT MEASURED: {case['reason']}")
            continue
        ratio = result["ratios"].get(case["name"], {})
        times = f"{ratio['ratio']:8.1f}x" if ratio else 9 * " "
        goal = (
            f" (>= {ratio['expected']:g}x: {'holds' if ratio['holds'] else 'MISSED'})"
            if "holds" in ratio
            else ""
        )
        state = "verified" if case["verified"] else f"WRONG: {case['reason']}"
        found.append(
            f"{case['name']:18} {case['words'] / 1e6:6.2f} M words {case['words_per_s'] / 1e6:8.4f} M/s "
            f"{case['cpu_s_per_million_words']:8.2f} CPU-s/M, broker {case['broker_cpu_s_per_million_words']:5.2f} "
            f"{case['rss_mb']:5} MiB {times}{goal}  {state}"
        )
    return found


def _is_ours(case: Mapping[str, Any]) -> bool:
    return bool(case["name"].split("-")[0] == OURS)
