"""The result of a comparison: a row per case, ratios, and the lines that are printed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.machine import commit, machine
from bench.peers.system import Outcome, System

OURS = "wordcount"
"""Name of Wordcount's case, and the beginning of the names of its further cases; other systems are compared with them."""


def rows(
    system: System, words: int, runs: Sequence[Sequence[Outcome]], failure: str | None
) -> list[dict[str, Any]]:
    """Return a row per case of a system.

    Args:
        system: the system that ran.
        words: number of words in its topic.
        runs: outcomes of each run, one per case.
        failure: why a run ended early or could not begin; None = no run failed.
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
    """Return, by case of another system, Wordcount's words per second as a multiple of that system's words per second.

    The case of Wordcount with equally many words is used if there is one, else its case with the most words. A system that counts a
    small part of the corpus is not slower with more of the corpus, and Wordcount's rate over a part of a second means little.
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
    cases: Sequence[Mapping[str, Any]],
    expected: Mapping[str, float],
    minutes: float,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of the result file; `about` is what it says of the comparison besides."""
    return {
        "commit": commit(),
        "machine": machine(),
        **about,
        "minutes": round(minutes, 1),
        "cases": list(cases),
        "ratios": ratios(cases, expected),
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """Return the result as lines for a terminal."""
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
