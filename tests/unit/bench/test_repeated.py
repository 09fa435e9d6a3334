"""Several runs as one result."""

from bench.repeated import summed_up

RUNS = [
    {
        "name": "restore",
        "seconds": 3.0,
        "rss_mb": 7,
        "rows": 5,
        "cores": [1.0, 3.0],
        "requests": 2,
        "verified": True,
    },
    {
        "name": "restore",
        "seconds": 1.0,
        "rss_mb": 9,
        "rows": 5,
        "cores": [3.0, 2.0],
        "requests": 3,
        "verified": True,
    },
    {
        "name": "restore",
        "seconds": 9.0,
        "rss_mb": 8,
        "rows": 5,
        "cores": [2.0, 1.0],
        "requests": 4,
        "verified": True,
    },
]


def test_runs_become_medians_worst_cases_and_sums() -> None:
    assert summed_up(RUNS, listed="seconds", worst=["rss_mb"], added=["requests"]) == {
        "name": "restore",
        "seconds": 3.0,
        "runs_seconds": [3.0, 1.0, 9.0],
        "rss_mb": 9,
        "rows": 5,
        "cores": [2.0, 2.0],
        "requests": 9,
        "verified": True,
    }


def test_one_wrong_run_makes_the_result_wrong() -> None:
    wrong = [*RUNS, {**RUNS[0], "verified": False}]
    assert summed_up(wrong, listed="seconds", worst=[])["verified"] is False
