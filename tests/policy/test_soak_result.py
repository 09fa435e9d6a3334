"""The committed run of `make soak` keeps its promise, and docs/chaos.md says what it says."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "bench/results/soak.json").read_bytes())


def test_nothing_grows_and_no_word_differs() -> None:
    assert RESULT["differing_words"] == 0
    assert RESULT["words_compared"] > 1000
    assert len(RESULT["workers"]) == 2
    for figures in RESULT["workers"].values():
        assert {"rss_mb", "descriptors", "threads"} == set(figures)
        assert not any(figure["grows"] or figure["growth"] > figure["bound"] for figure in figures.values())
    assert "dirty" not in RESULT["commit"]


def test_the_page_says_what_the_result_says() -> None:
    page = " ".join((ROOT / "docs/chaos.md").read_text("utf-8").split())
    medians = " and ".join(
        f"{RESULT['workers'][name]['rss_mb']['median']:.0f}" for name in sorted(RESULT["workers"])
    )
    assert (
        f"of {RESULT['minutes']:g} minutes: {RESULT['records']:,} lines, {RESULT['words']:,} words, "
        f"{RESULT['words_compared']:,} counts compared, {RESULT['differing_words']} differ. "
        f"Resident memory of the two workers: median {medians} MiB"
    ) in page
