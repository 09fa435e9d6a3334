"""Windows over HTTP: which there are, their words, the windows of a word, and trending words."""

from __future__ import annotations

import pytest

from app.reads.window_answers import NoWindowError, WindowSize
from app.web.asgi import create_asgi_app
from app.web.problems import OutOfRangeError
from app.web.window_parameters import size_of, stretch_of, time_of

FRESH = {"as_of", "complete", "missing_partitions", "served_by", "behind"}


def without_freshness(body):
    return {name: value for name, value in body.items() if name not in FRESH}


async def test_the_overview_has_sizes_and_the_event_time_of_each_partition(client):
    reply = (await client.get("/v1/windows")).json()
    assert without_freshness(reply) == {
        "sizes": [
            {
                "size": "1m",
                "size_seconds": 60,
                "advance_seconds": 60,
                "grace_seconds": 10,
                "retention_seconds": 86400,
                "whole_from": "2026-01-01T00:01:00Z",
                "kept_from": "2025-12-31T00:07:00Z",
                "newest": "2026-01-01T00:07:00Z",
                "newest_closed": "2026-01-01T00:05:00Z",
                "held_back_by": {"10": "2026-01-01T00:07:00Z"},
                "open": 2,
            }
        ],
        "partitions": {
            "2": {
                "stream_time": "2026-01-01T00:07:15Z",
                "jump": None,
                "late": {"1m": 4},
                "untimed": {"missing_time": 1},
            },
            "10": {
                "stream_time": "2026-01-01T00:07:00Z",
                "jump": {"first": "2026-01-05T00:00:00Z", "last": "2026-01-05T00:01:00Z", "records": 3},
                "late": {},
                "untimed": {},
            },
        },
    }


async def test_configured_windows_are_listed_if_their_panes_are_counted(queries, health, metrics):
    import httpx

    from tests.fakes.queries import VERSION

    asgi_app = create_asgi_app(
        queries,
        health,
        metrics.registry,
        VERSION,
        configured_windows=[WindowSize(300, 60), WindowSize(3600, 30), WindowSize(60, 60)],
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi_app), base_url="http://127.0.0.1"
    ) as client:
        sizes = (await client.get("/v1/windows")).json()["sizes"]
    assert [one["size"] for one in sizes] == ["1m", "5m/1m"]


async def test_the_words_of_the_newest_closed_window_are_the_default(client, queries):
    reply = await client.get("/v1/windows/1m/top?k=2")
    assert without_freshness(reply.json()) == {
        "words": [{"word": "the", "count": 5}, {"word": "fox", "count": 2}],
        "exact": True,
        "max_error": 0,
        "size": "1m",
        "start": "2026-01-01T00:05:00Z",
        "end": "2026-01-01T00:06:00Z",
        "final": True,
        "whole": True,
        "final_partitions": [2, 10],
        "held_back_by": {},
        "next_cursor": None,
    }
    assert "etag" in reply.headers
    same = await client.get("/v1/windows/1m/top?k=2", headers={"If-None-Match": reply.headers["etag"]})
    assert same.status_code == 304


@pytest.mark.parametrize(
    ("query", "start_s", "end_s"),
    [
        ("at=2026-01-01T00:06:30Z", 1767225960, None),
        ("at=2026-01-01T01:06:30%2B01:00", 1767225960, None),
        ("from=2026-01-01T00:03:30Z&to=2026-01-01T00:05:00Z", 1767225780, 1767225900),
        ("from=2026-01-01T00:03:00Z&to=2026-01-01T00:05:00.5Z", 1767225780, 1767225960),
    ],
)
async def test_a_time_or_a_stretch_names_whole_windows(client, queries, query, start_s, end_s):
    assert (await client.get(f"/v1/windows/60/top?{query}")).status_code == 200
    asked = queries.windows.asked[0]
    assert (asked["size"], asked["start_s"], asked["end_s"]) == (WindowSize(60, 60), start_s, end_s)


@pytest.mark.parametrize("path", ["/v1/windows/1h/5m/top", "/v1/windows/1h%2F5m/top"])
async def test_a_hopping_window_is_asked_for_by_both_durations(client, queries, path):
    reply = await client.get(path)
    assert queries.windows.asked[0]["size"] == WindowSize(3600, 300)
    assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (404, "unknown-window")
    assert reply.json()["detail"].startswith("no windows of 1h/5m are counted; ask for one of 1m")


@pytest.mark.parametrize(
    "query",
    [
        "at=yesterday",
        "at=2026-01-01T00:06:30",
        "at=2026-13-01T00:00:00Z",
        "at=1969-12-31T23:59:59Z",
        "from=2026-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "at=2026-01-01T00:00:00Z&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z",
        "k=0",
    ],
)
async def test_what_is_no_time_or_too_long_is_refused(client, query):
    reply = await client.get(f"/v1/windows/1m/top?{query}")
    assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (422, "out-of-range")


async def test_a_window_that_is_not_kept_is_gone_and_the_answer_says_what_is_kept(client):
    reply = await client.get("/v1/windows/1m/top?at=2025-12-30T00:00:00Z")
    assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (410, "window-gone")
    assert "2025-12-31T00:07:00Z, the newest at 2026-01-01T00:07:00Z" in reply.json()["detail"]


async def test_an_open_window_says_which_partitions_hold_it_back_and_where_they_are(client):
    reply = (await client.get("/v1/windows/1m/top?at=2026-01-01T00:06:30Z")).json()
    assert (reply["final"], reply["final_partitions"]) == (False, [2])
    assert reply["held_back_by"] == {"10": "2026-01-01T00:07:00Z"}


async def test_no_closed_window_is_a_problem_of_its_own(client, queries):
    queries.error = NoWindowError("no window of 1m is closed yet")
    reply = await client.get("/v1/windows/1m/top")
    assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (404, "no-window")


async def test_the_windows_of_a_word_come_oldest_first_with_zeros(client):
    reply = (await client.get("/v1/words/FOX/windows?last=3")).json()
    assert without_freshness(reply) == {
        "word": "fox",
        "size": "1m",
        "windows": [
            {"start": "2026-01-01T00:05:00Z", "count": 2},
            {"start": "2026-01-01T00:06:00Z", "count": 0},
            {"start": "2026-01-01T00:07:00Z", "count": 2},
        ],
        "final_until": "2026-01-01T00:06:00Z",
        "whole_from": "2026-01-01T00:01:00Z",
    }


async def test_the_windows_of_a_word_are_a_table_too(client):
    reply = await client.get("/v1/words/fox/windows?last=2", headers={"Accept": "text/csv"})
    assert reply.text == "start,count\r\n2026-01-01T00:06:00Z,0\r\n2026-01-01T00:07:00Z,2\r\n"
    assert reply.headers["wordcount-final-until"] == "2026-01-01T00:06:00Z"
    lines = (
        await client.get("/v1/words/fox/windows?last=1", headers={"Accept": "application/x-ndjson"})
    ).text.splitlines()
    assert lines[0] == '{"start":"2026-01-01T00:07:00Z","count":2}'
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("query", "start_s", "points"),
    [
        ("", None, 60),
        ("last=1440", None, 1440),
        ("from=2026-01-01T00:03:30Z&to=2026-01-01T00:06:00Z", 1767225780, 3),
    ],
)
async def test_a_series_has_the_newest_windows_or_those_of_a_stretch(client, queries, query, start_s, points):
    await client.get(f"/v1/words/fox/windows?{query}")
    asked = queries.windows.asked[0]
    assert (asked["start_s"], asked["points"]) == (start_s, points)


@pytest.mark.parametrize(
    "query",
    [
        "last=0",
        "last=10001",
        "size=1x",
        "size=0",
        "size=1h/7m",
        "size=366d/1s",
        "last=5&from=2026-01-01T00:00:00Z&to=2026-01-01T00:01:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-01-09T00:00:00Z",
    ],
)
async def test_a_series_that_cannot_be_is_refused(client, query):
    assert (await client.get(f"/v1/words/fox/windows?{query}")).status_code == 422


async def test_a_word_that_ends_like_the_path_of_windows_is_still_a_word(client, queries):
    queries.counts = {"a/windows": 4}
    assert (await client.get("/v1/words/a%2Fwindows")).json()["count"] == 4
    assert (await client.get("/v1/words/a%2Fwindows/windows?last=1")).json()["word"] == "a/windows"


async def test_trending_words_have_their_baseline_and_score(client, queries):
    reply = (await client.get("/v1/trending?k=1&baseline=5&min_count=3&open=true")).json()
    assert without_freshness(reply) == {
        "words": [{"word": "fox", "count": 30, "baseline": 1.0, "score": 8.169}],
        "exact": True,
        "max_score": 0,
        "size": "1m",
        "start": "2026-01-01T00:05:00Z",
        "end": "2026-01-01T00:06:00Z",
        "final": True,
        "whole": True,
        "held_back_by": {},
        "baseline_start": "2026-01-01T00:00:00Z",
        "baseline_windows": 5,
    }
    asked = queries.windows.asked[0]
    assert (asked["baseline"], asked["min_count"], asked["is_open"]) == (5, 3, True)
    table = await client.get("/v1/trending", headers={"Accept": "text/csv"})
    assert table.text == "word,count,baseline,score\r\nfox,30,1.0,8.169\r\n"


@pytest.mark.parametrize(
    "query", ["baseline=0", "baseline=101", "open=yes", "size=1d/1m&baseline=1", "k=1001"]
)
async def test_trending_words_that_cannot_be_are_refused(client, query):
    assert (await client.get(f"/v1/trending?{query}")).status_code == 422


@pytest.mark.parametrize(
    ("text", "size", "name"),
    [
        ("60", WindowSize(60, 60), "1m"),
        ("90s", WindowSize(90, 90), "90s"),
        ("24h", WindowSize(86400, 86400), "1d"),
        ("1h/5m", WindowSize(3600, 300), "1h/5m"),
        ("60m/60m", WindowSize(3600, 3600), "1h"),
    ],
)
def test_a_size_is_one_or_two_durations(text, size, name):
    assert (size_of(text), size_of(text).name) == (size, name)


def test_times_are_those_of_rfc_3339():
    assert time_of({"at": "1970-01-01t00:00:01.5z"}, "at") == 1.5
    assert time_of({}, "at") is None
    assert stretch_of({}, WindowSize(60, 60)) is None
    with pytest.raises(OutOfRangeError, match="such as 2026"):
        time_of({"at": "now"}, "at")
