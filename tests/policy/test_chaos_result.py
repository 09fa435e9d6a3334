"""The committed run of `make chaos` keeps its promise, and docs/chaos.md says what it says."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "bench/results/chaos.json").read_bytes())


def test_no_word_differs_after_enough_faults() -> None:
    assert RESULT["differing_words"] == 0
    assert (len(RESULT["seeds"]), RESULT["minutes"]) == (3, 5)
    assert RESULT["over_tls"], "no seed had its brokers behind TLS"
    assert RESULT["faults"] >= 60
    assert RESULT["kinds"] >= 10
    assert RESULT["sigkills"] >= 20
    assert "dirty" not in RESULT["commit"]


def test_the_page_says_what_the_result_says() -> None:
    page = " ".join((ROOT / "docs/chaos.md").read_text("utf-8").split())
    said = (
        f"{RESULT['faults']} faults of {RESULT['kinds']} kinds, {RESULT['sigkills']} of them SIGKILLs, {RESULT['words']:,} words, "
        f"{RESULT['answers_checked']:,} answers checked, {RESULT['differing_words']} differing words. "
        f"Recovery took {RESULT['recovery_s']['p50']} s (median) and {RESULT['recovery_s']['max']} s at most. "
        f"{RESULT['foreign_appends_noticed']} times"
    )
    assert said in page
