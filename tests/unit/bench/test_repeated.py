"""Several runs of one measurement are summed up as one result."""

from typing import Any

from bench.repeated import summed_up


def run(seconds: float, rss_mb: int, cores: list[float], requests: int) -> dict[str, Any]:
    return {
        "name": "restore",
        "seconds": seconds,
        "rss_mb": rss_mb,
        "rows": 5,
        "cores": cores,
        "requests": requests,
        "verified": True,
    }


RUNS = [run(3.0, 7, [1.0, 3.0], 2), run(1.0, 9, [3.0, 2.0], 3), run(9.0, 8, [2.0, 1.0], 4)]


def test_runs_become_medians_worst_cases_and_sums() -> None:
    found = summed_up(RUNS, listed="seconds", worst=["rss_mb"], added=["requests"])
    assert found == run(3.0, 9, [2.0, 2.0], 9) | {"runs_seconds": [3.0, 1.0, 9.0]}


def test_one_wrong_run_makes_the_result_wrong() -> None:
    wrong = [*RUNS, {**RUNS[0], "verified": False}]
    assert summed_up(wrong, listed="seconds", worst=[])["verified"] is False
