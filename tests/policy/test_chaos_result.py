"""The committed runs of `make chaos`, without and with windows, keep their promise, and docs/chaos.md says what they say."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "bench/results/chaos.json").read_bytes())
WINDOWED = json.loads((ROOT / "bench/results/chaos-windows.json").read_bytes())


def test_no_word_differs_after_enough_faults() -> None:
    assert RESULT["differing_words"] == 0
    assert (len(RESULT["seeds"]), RESULT["minutes"]) == (3, 5)
    assert RESULT["over_tls"], "no seed had its brokers behind TLS"
    assert RESULT["faults"] >= 60
    assert RESULT["kinds"] >= 10
    assert RESULT["sigkills"] >= 20
    assert "dirty" not in RESULT["commit"]


def test_no_count_of_a_window_differs_after_enough_faults() -> None:
    assert (WINDOWED["differing_window_counts"], WINDOWED["differing_words"]) == (0, 0)
    assert WINDOWED["over_tls"], "no seed had its brokers behind TLS"
    assert WINDOWED["faults"] >= 60
    assert WINDOWED["kinds"] >= 10
    assert WINDOWED["window_counts_compared"] >= 1_000_000
    assert min(WINDOWED["late"].values()) > 1000
    assert WINDOWED["untimed"]["jump"] > 0
    assert "dirty" not in WINDOWED["commit"]


def test_the_page_says_what_the_result_says() -> None:
    page = " ".join((ROOT / "docs/chaos.md").read_text("utf-8").split())
    said = (
        f"{RESULT['faults']} faults of {RESULT['kinds']} kinds, {RESULT['sigkills']} of them SIGKILLs, {RESULT['words']:,} words, "
        f"{RESULT['answers_checked']:,} answers checked, {RESULT['differing_words']} differing words. "
        f"Recovery took {RESULT['recovery_s']['p50']} s (median) and {RESULT['recovery_s']['max']} s at most. "
        f"{RESULT['foreign_appends_noticed']} times"
    )
    assert said in page
    windowed = (
        f"{WINDOWED['faults']} faults of {WINDOWED['kinds']} kinds, {WINDOWED['sigkills']} of them SIGKILLs, "
        f"{WINDOWED['window_counts_compared']:,} counts of words in windows compared, "
        f"{WINDOWED['differing_window_counts']} differing; {WINDOWED['late']['5 s']:,} records late for a window of 5 s, "
        f"{WINDOWED['untimed']['jump']} of a jump that was not confirmed. "
        f"Recovery took {WINDOWED['recovery_s']['p50']} s (median) and {WINDOWED['recovery_s']['max']} s at most"
    )
    assert windowed in page
