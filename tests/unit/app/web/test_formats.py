"""Lists of words as JSON, NDJSON and CSV, and how a client says which of them it wants."""

from __future__ import annotations

import csv
import io
import json

import pytest

from app.reads.answers import Answer, Behind
from app.web.formats import HEADER_NAMES, MOST_HEADER_BYTES, freshness_headers

LISTS = ["/v1/words?limit=2", "/v1/top?k=2"]
NDJSON, CSV = "application/x-ndjson", "text/csv"
CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("application/json", "json"),
        ("Application/JSON; charset=utf-8", "json"),
        ("application/x-ndjson", "ndjson"),
        ("text/csv", "csv"),
        ("text/*", "csv"),
        ("text/csv;header=present", "csv"),
        ("text/csv, application/json", "json"),
        ("text/csv, */*;q=0.1", "csv"),
        ("application/json;q=0.2, application/x-ndjson;q=0.7, text/csv;q=0.5", "ndjson"),
        ("application/json;q=0, */*", "ndjson"),
        ("application/json;q=0, application/*;q=0, */*;q=0.001", "csv"),
        ("text/html, image/gif, *; q=.2, */*; q=.2", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("nonsense, text/csv", "csv"),
        ("application/json;q=nonsense, text/csv", "csv"),
    ],
)
async def test_a_client_gets_what_it_accepts_most(client, path, accept, kind):
    headers = {} if accept is None else {"Accept": accept}
    if accept is None:
        del client.headers["accept"]
    reply = await client.get(path, headers=headers)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == CONTENT_TYPES[kind]
    assert reply.headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize("path", [*LISTS, "/v1/words"])
@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/json;q=0", "text/csv;header=absent", "*/*;q=0", "nonsense", "image/*"],
)
async def test_a_client_that_accepts_nothing_of_it_is_told_what_there_is(client, queries, path, accept):
    reply = await client.get(path, headers={"Accept": accept})
    assert reply.status_code == 406
    problem = reply.json()
    assert problem["type"].endswith(":not-acceptable")
    assert "application/json, application/x-ndjson, text/csv" in problem["detail"]
    assert queries.asked == []


async def test_several_accept_headers_are_one(client):
    reply = await client.get("/v1/top", headers=[("Accept", "text/html"), ("Accept", "text/csv")])
    assert reply.headers["content-type"].startswith(CSV)


async def test_a_word_and_totals_are_json_whatever_is_accepted(client):
    for path in ("/v1/words/fox", "/v1/stats"):
        reply = await client.get(path, headers={"Accept": CSV})
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")


async def test_ndjson_has_a_line_per_word_and_a_last_line_with_the_rest(client):
    reply = await client.get("/v1/words?limit=2", headers={"Accept": NDJSON})
    *words, rest = reply.text.splitlines()
    assert words == ['{"word":"fox","count":2}', '{"word":"over","count":1}']
    whole = (await client.get("/v1/words?limit=2")).json()
    del whole["words"]
    assert json.loads(rest) == whole
    assert reply.text.endswith("\n")


async def test_csv_has_a_row_per_word_and_the_rest_in_headers(client):
    reply = await client.get("/v1/words?limit=2", headers={"Accept": CSV})
    assert reply.text == "word,count\r\nfox,2\r\nover,1\r\n"
    told = {name: value for name, value in reply.headers.items() if name.startswith("wordcount-")}
    assert told == {
        "wordcount-as-of": "2:123,10:7",
        "wordcount-complete": "true",
        "wordcount-missing-partitions": "",
        "wordcount-served-by": "2:standby,10:active",
        "wordcount-behind": "2:7:0.5",
        "wordcount-next-cursor": "MDpvdmVy",
    }
    further = await client.get(
        f"/v1/words?limit=2&cursor={told['wordcount-next-cursor']}", headers={"Accept": CSV}
    )
    assert further.text == "word,count\r\nthe,5\r\n"
    assert "wordcount-next-cursor" not in further.headers


async def test_the_most_frequent_words_as_csv_say_whether_they_are_proven(client, queries):
    queries.max_error = 3
    queries.complete, queries.missing = False, [4, 3]
    reply = await client.get("/v1/top?k=1&allow_partial=true", headers={"Accept": CSV})
    assert reply.text == "word,count\r\nthe,5\r\n"
    told = [
        reply.headers[f"wordcount-{name}"]
        for name in ("exact", "max-error", "complete", "missing-partitions")
    ]
    assert told == ["false", "3", "false", "3,4"]
    sent = {name for name in reply.headers if name.startswith("wordcount-")}
    assert sent < {name.lower() for name in HEADER_NAMES}


AWKWARD = [
    "",
    " ",
    "a,b",
    'say "hi"',
    "a\nb",
    "a\r\nb",
    "\r",
    "\x00",
    "=1+1",
    "@x",
    "-1",
    "+1",
    "é👍",
    "\u2028",
    "'",
]


@pytest.mark.parametrize("path", ["/v1/words?limit=100", "/v1/words"])
async def test_any_word_comes_back_from_csv_as_it_is(client, queries, path):
    queries.counts = {word: number for number, word in enumerate(AWKWARD, 1)}
    reply = await client.get(path, headers={"Accept": CSV})
    header, *rows = csv.reader(io.StringIO(reply.content.decode(), newline=""), strict=True)
    assert header == ["word", "count"]
    assert {word: int(count) for word, count in rows} == queries.counts


@pytest.mark.parametrize("path", ["/v1/words?limit=100", "/v1/words"])
async def test_any_word_comes_back_from_ndjson_as_it_is(client, queries, path):
    queries.counts = {word: number for number, word in enumerate(AWKWARD, 1)}
    reply = await client.get(path, headers={"Accept": NDJSON})
    *rows, _ = [json.loads(line) for line in reply.content.split(b"\n")[:-1]]
    assert {row["word"]: row["count"] for row in rows} == queries.counts


@pytest.mark.parametrize(
    ("partitions", "left_out"),
    [(8, set()), (128, {"Behind"}), (200, {"Behind", "Served-By"}), (600, {"Behind", "Served-By", "As-Of"})],
)
def test_headers_with_freshness_stay_short_enough_for_proxies(partitions: int, left_out: set[str]) -> None:
    numbers = range(partitions)
    answer = Answer(
        1,
        dict.fromkeys(numbers, 1_000_000),
        True,
        {},
        dict.fromkeys(numbers, "standby"),
        dict.fromkeys(numbers, Behind(123, 0.5)),
    )
    headers = freshness_headers(answer)
    assert sum(map(len, (*headers, *headers.values()))) <= MOST_HEADER_BYTES
    all_names = {"As-Of", "Complete", "Missing-Partitions", "Served-By", "Behind"}
    assert {name.removeprefix("Wordcount-") for name in headers} == all_names - left_out
