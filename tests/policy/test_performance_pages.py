"""Figures and plot in the documents are those of the result files."""

import json
from pathlib import Path

import pytest

from bench.capacity import COUNTING_CASE, EXAMPLE, Load, capacity_table
from bench.cells import UNMEASURED
from bench.plot import PLOT, plot
from bench.results import GROWTH, LATEST, read
from bench.run import all_verified
from bench.table import CAPACITY, GROWING, PERFORMANCE, growth_table, pages, take_over_table, with_blocks

RUN = "run: python -m bench.table"
RESULTS = sorted(LATEST.parent.glob("*.json"))


@pytest.mark.parametrize("page", [PERFORMANCE, CAPACITY], ids=lambda page: page.name)
def test_figures_in_the_page_are_those_of_the_result_files(page):
    text = page.read_text("utf-8")
    assert with_blocks(text, pages(read(LATEST), read(GROWTH))[page]) == text, RUN


def test_the_plot_is_that_of_the_result_files():
    assert PLOT.read_bytes() == plot(read(LATEST), read(GROWTH)), RUN


def test_another_figure_would_be_noticed():
    latest, growth = read(LATEST), read(GROWTH)
    latest["cases"][0]["words_per_s"] += 100_000
    assert plot(latest, growth) != PLOT.read_bytes()
    assert pages(latest, growth)[PERFORMANCE] != pages(read(LATEST), growth)[PERFORMANCE]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_no_committed_result_has_a_wrong_count(path):
    assert '"verified": false' not in path.read_text("utf-8")


def test_results_name_machine_and_commit():
    latest = read(LATEST)
    assert {"cpu", "cores", "memory_gib", "system", "python"} <= latest["machine"].keys()
    assert latest["commit"]
    assert not latest["commit"].endswith("-dirty")


def test_a_wrong_count_in_any_section_is_noticed():
    right = {"verified": True}
    report = {
        "cases": [right],
        "http": [right],
        "reads": [right],
        "group_reads": [right],
        "latency": [right, right],
        "windows": [right],
        "window_reads": [right],
        "restore": right,
        "view_catches_up": right,
        "view_follows": right,
        "take_over": right,
    }
    assert all_verified(report)
    for section, results in report.items():
        wrong = json.loads(json.dumps(report))
        (wrong[section][-1] if isinstance(results, list) else wrong[section])["verified"] = False
        assert not all_verified(wrong), section


def test_what_is_not_measured_is_said_to_be_so():
    nothing = {"machine": read(LATEST)["machine"], "cases": []}
    for page in pages(nothing, {})[PERFORMANCE].items():
        assert page[0] in {"machine", "cases"} or page[1] == UNMEASURED, page
    assert growth_table({}, next(iter(GROWING))) == UNMEASURED


def test_a_take_over_is_shown_with_its_spread_and_what_was_restored():
    result = {
        "rows": 1_000_004,
        "counting_s": 0.131,
        "runs_counting_s": [0.171, 0.121, 0.131],
        "counted_s": 1.228,
        "rows_restored": 1_234,
        "noticed_s": 10.26,
        "unanswered_s": 0.389,
        "verified": True,
    }
    *_, row = take_over_table({"take_over": result}).splitlines()
    assert row == "| 1.00 M | 0.13 (0.12-0.17, 3) | 1.23 | 1,234 | 10.3 | 0.39 | yes |"


def test_the_example_follows_its_formulas():
    case = {
        "name": COUNTING_CASE,
        "words_per_s": 3_000_000,
        "cpu_s_per_million_words": 0.3,
        "broker_cpu_s_per_million_words": 0.06,
        "rss_mb": 512,
        "changelog_bytes_per_word": 2.0,
        "disk_bytes_per_word": 1.5,
    }
    report = {"cases": [case], "restore": {"rows_per_s": 1_000_000, "disk_bytes_per_row": 10.0}}
    rows = {
        cells[1]: cells[3]
        for cells in (
            [cell.strip() for cell in row.split("|")]
            for row in capacity_table(report, Load(1e6, 6, 1e6, 24, 0.5)).splitlines()
        )
    }
    assert rows["Words/s"] == "6 M"
    assert rows["Cores for workers"] == "6 × 0.30 / 0.6 = 3.0"
    assert rows["Workers"] == "4, with 6 of 24 partitions each"
    assert rows["Memory"] == "4 × 512 MiB = 2.0 GiB"
    assert rows["Rows stored"] == "1 M × 24 × 0.5 = 12 M"
    assert rows["Changelog written, before replication"] == "12 MB/s"
    assert rows["Restore of one worker with an empty folder"] == "3 M / 1.00 M = 3 s"


def test_the_example_is_the_one_of_the_page():
    assert "a million messages of ten words a second" in CAPACITY.read_text("utf-8")
    assert (EXAMPLE.messages_per_s, EXAMPLE.words_per_message) == (1_000_000, 10)


def test_pages_name_only_cases_that_there_are():
    from bench.run import CAPACITY_CASE, CASES, RESTORED_CASE

    names = {case.name for case in CASES}
    assert {CAPACITY_CASE, RESTORED_CASE, COUNTING_CASE} <= names
    assert len(names) == len(CASES)


def test_plot_needs_no_font_of_the_machine():
    assert b"<text" in Path(PLOT).read_bytes()
