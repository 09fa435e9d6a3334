"""Rows, ratios and the page of a comparison with other word counts."""

from __future__ import annotations

import pytest

from bench.peers.__main__ import choice
from bench.peers.report import lines, ratios, rows
from bench.peers.subject import Span
from bench.peers.system import Outcome, System
from bench.peers.systems import expected_ratios, expected_windowed_ratios, systems, windowed_systems
from bench.peers.table import COUNTS, PAGE, WINDOWS, result, with_table
from bench.peers.topics import difference

WORDS = 2_000_000


def system(name: str = "other", cases: tuple[tuple[str, str], ...] = ()) -> System:
    return System(
        name=name,
        title="Other",
        version="1",
        lines=WORDS // 10,
        runs=3,
        guarantee="none",
        clock="ended",
        settings={"threads": "2"},
        measure=lambda *_: (),
        cases=cases,
    )


def took(seconds: float, wrong: str | None = None, rss_mb: float = 100.0) -> Outcome:
    return Outcome(Span(seconds, cpu_s=2 * seconds, broker_cpu_s=seconds / 10, rss_mb=rss_mb), wrong)


def report_of(*found: list[dict[str, object]]) -> dict[str, object]:
    cases = [row for each in found for row in each]
    machine = {"cores": 2, "cpu": "any", "system": "any", "python": "3"}
    return {
        "commit": "c",
        "machine": machine,
        "minutes": 1.0,
        "cases": cases,
        "ratios": ratios(cases, expected_ratios()),
    }


def test_a_row_is_the_median_of_the_runs_with_the_largest_memory() -> None:
    (row,) = rows(system(), WORDS, [[took(1.0)], [took(4.0, rss_mb=300)], [took(2.0)]], None)
    assert row["words_per_s"] == 1_000_000
    assert row["runs_words_per_s"] == [2_000_000, 500_000, 1_000_000]
    assert row["cpu_s_per_million_words"] == 2.0
    assert row["broker_cpu_s_per_million_words"] == 0.1
    assert row["rss_mb"] == 300
    assert row["verified"] is True
    assert row["cold_or_warm"] == "cold"


def test_one_wrong_count_in_one_run_makes_the_row_wrong() -> None:
    (row,) = rows(system(), WORDS, [[took(1.0)], [took(1.0, "a word differs")]], None)
    assert (row["verified"], row["reason"]) == (False, "a word differs")


def test_a_system_that_failed_has_a_row_that_says_why() -> None:
    (row,) = rows(system(), WORDS, [], "does not start")
    assert (row["words_per_s"], row["verified"], row["reason"]) == (None, False, "does not start")
    (text,) = lines(report_of([row]))
    assert "does not start" in text


def test_jobs_of_one_process_have_a_row_each() -> None:
    both = system(cases=(("other", "cold"), ("other-warm", "warm")))
    cold, warm = rows(both, WORDS, [[took(2.0), took(1.0)]], None)
    assert (cold["name"], cold["cold_or_warm"], cold["words_per_s"]) == ("other", "cold", 1_000_000)
    assert (warm["name"], warm["cold_or_warm"], warm["words_per_s"]) == ("other-warm", "warm", 2_000_000)


def test_ratios_are_against_as_many_words_where_they_were_counted_and_else_against_the_most() -> None:
    def case(name: str, words: int, words_per_s: float | None) -> dict[str, object]:
        return {"name": name, "words": words, "words_per_s": words_per_s}

    found = ratios(
        [
            case("wordcount", 10_000_000, 3e6),
            case("wordcount-short", 1_000_000, 2e6),
            case("flink-heap", 1_000_000, 1e6),
            case("faust", 20_000, 2e3),
            case("quix", 300_000, None),
        ],
        {"flink-heap": 1.9, "faust": 1600},
    )
    assert found == {
        "flink-heap": {"ratio": 2.0, "against_words": 1_000_000, "expected": 1.9, "holds": True},
        "faust": {"ratio": 1500.0, "against_words": 10_000_000, "expected": 1600, "holds": False},
    }


def test_every_expectation_is_of_a_system_that_is_run() -> None:
    names = {name for each in systems() for name, _ in each.cases}
    assert expected_ratios().keys() <= names
    assert len(names) == sum(len(each.cases) for each in systems())


def test_a_choice_keeps_the_order_and_is_no_whole_comparison() -> None:
    chosen, most, whole = choice(systems(), "quix,wordcount", "2")
    assert ([each.name for each in chosen], most, whole) == (["wordcount", "quix"], 2, False)
    assert choice(systems(), "", "")[1:] == (None, True)
    assert choice(systems(), "", "1")[2] is False


@pytest.mark.parametrize(("peers", "runs"), [("nobody", ""), ("", "0"), ("", "many")])
def test_a_choice_of_nothing_is_refused(peers: str, runs: str) -> None:
    with pytest.raises(SystemExit, match=r"PEERS|RUNS"):
        choice(systems(), peers, runs)


def test_differences_name_a_word() -> None:
    assert difference({"a": 1}, {"a": 1}) is None
    assert difference({"a": 1, "b": 2}, {"a": 1}) == (
        "1 words differ, as 'b': 2 instead of None; 3 words instead of 1"
    )
    assert difference({}, {"a": 1}) is not None


@pytest.mark.parametrize("name", [COUNTS, WINDOWS])
def test_figures_of_the_page_are_those_of_the_result_file(name: str) -> None:
    text = PAGE.read_text("utf-8")
    assert with_table(text, result(name), name) == text, "run: python -m bench.peers.table"


def test_a_wrong_count_would_be_shown_on_the_page() -> None:
    right = rows(system(), WORDS, [[took(1.0)]], None)
    wrong = rows(system(), WORDS, [[took(1.0, "a word differs")]], None)
    page = PAGE.read_text("utf-8")
    assert "| yes |" in with_table(page, report_of(right), COUNTS)
    assert "NO: a word differs" in with_table(page, report_of(wrong), WINDOWS)
    assert "NO |" in with_table(page, report_of(rows(system(), WORDS, [], "does not start")), COUNTS)


def test_the_page_says_how_many_windows_there_were() -> None:
    found = report_of(rows(system(), WORDS, [[took(1.0)]], None))
    found["event_time"] = {"window_s": 60, "windows": 3, "records_per_s": 1200}
    page = with_table(PAGE.read_text("utf-8"), found, WINDOWS)
    assert "Windows of 60 s: 3, with 1,200 records per second of event time." in page


@pytest.mark.parametrize(
    ("name", "compared", "expected"),
    [(COUNTS, systems(), expected_ratios()), (WINDOWS, windowed_systems(), expected_windowed_ratios())],
)
def test_a_committed_result_is_of_a_whole_comparison(
    name: str, compared: tuple[System, ...], expected: dict[str, float]
) -> None:
    if (found := result(name)) is not None:
        assert [case["name"] for case in found["cases"]] == [
            name for each in compared for name, _ in each.cases
        ]
        assert found["ratios"] == ratios(found["cases"], expected)
