import urllib.parse

import httpx
import pytest

FRESH = {
    "as_of": {"2": 123, "10": 7},
    "complete": True,
    "missing_partitions": [],
    "served_by": {"2": "standby", "10": "active"},
    "behind": {"2": {"records": 7, "seconds": 0.5}},
}
AWKWARD = [
    "a/b",
    "/",
    "a//b",
    "",
    " ",
    "50%",
    "%41",
    "a?b=c&d",
    "#",
    "é",
    "日本",
    "👍🏽",
    "a\nb",
    "fox\n",
    "\n",
    "a\r\nb",
    "a\x00b",
    "\x1b[31m",
    "\u2028",
    "x/",
    "<script>",
    ".",
    "+",
]


async def test_a_known_word_has_its_count_and_freshness(client):
    reply = await client.get("/v1/words/fox")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.json() == {"word": "fox", "count": 2, **FRESH}


async def test_partitions_are_in_numeric_order(client):
    assert list((await client.get("/v1/words/fox")).json()["as_of"]) == ["2", "10"]


async def test_an_unknown_word_is_a_404_that_says_how_fresh_that_is(client):
    reply = await client.get("/v1/words/wolf")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["type"] == "urn:problem-type:wordcount:unknown-word"
    assert problem["word"] == "wolf"
    assert {name: problem[name] for name in FRESH} == FRESH


async def test_the_word_asked_for_is_normalised_as_the_profile_does(client):
    assert (await client.get("/v1/words/FOX")).json()["word"] == "fox"


@pytest.mark.parametrize("word", [word for word in AWKWARD if word != "."])
async def test_any_word_can_be_asked_for(client, queries, word):
    queries.counts = {word: 3}
    reply = await client.get("/v1/words/" + urllib.parse.quote(word, safe=""))
    assert (reply.status_code, reply.json().get("word"), reply.json().get("count")) == (200, word, 3)


@pytest.mark.parametrize("word", AWKWARD)
async def test_any_word_can_be_asked_for_as_in_stock_faust(client, queries, word):
    queries.counts = {word: 3}
    reply = await client.get(f"/count/{urllib.parse.quote(word, safe='').replace('.', '%2E')}/")
    assert (reply.status_code, reply.json()) == (200, {word: 3})


@pytest.mark.parametrize("encoded", ["fox%0A", "%0Afox", "f%0Aox"])
async def test_a_word_with_a_line_feed_is_not_mistaken_for_the_word_without(client, encoded):
    assert (await client.get(f"/v1/words/{encoded}")).status_code == 404


async def test_stock_faust_clients_get_the_shape_they_know(client):
    reply = await client.get("/count/fox/")
    assert (reply.status_code, reply.json()) == (200, {"fox": 2})


async def test_stock_faust_clients_find_their_own_spelling_as_the_key(client):
    assert (await client.get("/count/FOX/")).json() == {"FOX": 2}


async def test_a_stock_path_takes_words_with_slashes(client, queries):
    queries.counts = {"a/b": 1}
    assert (await client.get("/count/a%2Fb/")).json() == {"a/b": 1}


async def test_an_unknown_stock_word_is_no_zero(client):
    assert (await client.get("/count/wolf/")).status_code == 404


async def test_words_are_listed_in_byte_order(client, queries):
    queries.counts = {"é": 1, "z": 2, "a": 3}
    reply = await client.get("/v1/words")
    assert reply.json() == {
        "words": [{"word": "a", "count": 3}, {"word": "z", "count": 2}, {"word": "é", "count": 1}],
        "next_cursor": None,
        **FRESH,
    }


async def test_pages_joined_by_cursors_hold_every_word_once(client, queries):
    queries.counts = dict.fromkeys(AWKWARD, 1)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(len(AWKWARD)):
        parameters = {"limit": "3"} if cursor is None else {"limit": "3", "cursor": cursor}
        page = (await client.get("/v1/words", params=parameters)).json()
        seen += [entry["word"] for entry in page["words"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert cursor.replace("-", "").replace("_", "").isalnum()
    assert seen == sorted(AWKWARD, key=str.encode)


async def test_a_prefix_is_compared_as_it_is(client, queries):
    queries.counts = {"fox": 2, "Fox": 1, "a+b c": 1}
    assert [e["word"] for e in (await client.get("/v1/words?prefix=F")).json()["words"]] == ["Fox"]
    assert [e["word"] for e in (await client.get("/v1/words?prefix=a%2Bb+")).json()["words"]] == ["a+b c"]


async def test_a_page_holds_at_most_a_hundred_words_unless_asked(client, queries):
    queries.counts = {f"w{i:04}": 1 for i in range(2000)}
    assert len((await client.get("/v1/words")).json()["words"]) == 100
    assert len((await client.get("/v1/words?limit=1000")).json()["words"]) == 1000


async def test_no_word_at_all_is_an_empty_page(client, queries):
    queries.counts = {}
    reply = await client.get("/v1/words")
    assert (reply.status_code, reply.json()["words"], reply.json()["next_cursor"]) == (200, [], None)


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "d2Zv", "d2ZveA==", "Zm94", "d_8", "d2\u00e9", "dx"])
async def test_a_cursor_that_no_page_gave_is_a_400(client, cursor):
    reply = await client.get("/v1/words", params={"cursor": cursor, "prefix": "fox"})
    assert reply.status_code == 400
    assert "cursor" in reply.json()["detail"]


async def test_a_cursor_of_another_prefix_is_a_400(client):
    cursor = (await client.get("/v1/words?limit=1&prefix=")).json()["next_cursor"]
    assert (await client.get("/v1/words", params={"cursor": cursor, "prefix": "the"})).status_code == 400


@pytest.mark.parametrize(
    "path", ["/v1/words/fox", "/v1/words", "/v1/top", "/v1/stats", "/livez", "/metrics", "/"]
)
async def test_head_answers_as_get_does(client: httpx.AsyncClient, path):
    assert (await client.head(path)).status_code == 200
