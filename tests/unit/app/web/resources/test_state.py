"""The shapes of Kafka Streams' interactive queries."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.web.asgi import create_asgi_app
from app.web.resources.state import word_before
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

STORES = ["word-count", "windowed-word-count"]

STORE_PATHS = [
    *("/state/instances/{}", "/state/instance/{}/fox", "/state/keyvalue/{}/fox", "/state/keyvalues/{}/all"),
    "/state/keyvalues/{}/range/a/z",
]


async def test_a_value_is_that_of_the_normalised_key(client):
    reply = await client.get("/state/keyvalue/word-count/FOX")
    assert reply.json() == {"key": "fox", "value": 2}


@pytest.mark.parametrize("path", ["/state/keyvalue/word-count/fox", "/count/fox/"])
async def test_a_body_without_place_for_freshness_has_it_in_headers(client, queries, path):
    reply = await client.get(path)
    assert {name: value for name, value in reply.headers.items() if name.startswith("wordcount-")} == {
        "wordcount-as-of": "2:123,10:7",
        "wordcount-complete": "true",
        "wordcount-missing-partitions": "",
        "wordcount-served-by": "2:standby,10:active",
        "wordcount-behind": "2:7:0.5",
    }
    queries.complete, queries.missing = False, [4, 3]
    reply = await client.get(path, params={"allow_partial": "true"})
    assert reply.status_code == 200
    assert reply.headers["wordcount-complete"] == "false"
    assert reply.headers["wordcount-missing-partitions"] == "3,4"


@pytest.mark.parametrize("key", ["a/b", "/", "", "a\nb", "é", "%", "a?b"])
async def test_any_key_can_be_asked_for(client, queries, key):
    queries.counts = {key: 3}
    path = "/state/keyvalue/word-count/" + "".join(f"%{byte:02X}" for byte in key.encode())
    assert (await client.get(path)).json() == {"key": key, "value": 3}


async def test_an_unknown_key_is_a_404(client):
    reply = await client.get("/state/keyvalue/word-count/wolf")
    assert (reply.status_code, reply.json()["word"]) == (404, "wolf")


@pytest.mark.parametrize("path", STORE_PATHS)
@pytest.mark.parametrize("store", ["windowed-word-counts", "Word-Count", "%1B%5B31m"])
async def test_an_unknown_store_is_a_404_that_names_the_stores(client, path, store):
    reply = await client.get(path.format(store))
    assert reply.status_code == 404
    assert reply.json()["type"].endswith(":unknown-store")
    assert "there is word-count" in reply.json()["detail"]
    assert "\x1b" not in reply.text
    assert (await client.get(path.format("word-count"))).status_code == 200


async def test_all_words_come_in_byte_order_over_all_pages(client, queries):
    queries.counts = {f"w{number}": number + 1 for number in range(2500)} | {"\U00010000": 1, "\uffff": 1}
    rows = (await client.get("/state/keyvalues/word-count/all")).json()
    assert {row["key"]: row["value"] for row in rows} == queries.counts
    keys = [row["key"].encode() for row in rows]
    assert keys == sorted(keys)
    assert len(queries.asked) == 3


async def test_no_words_are_an_empty_array_with_freshness_in_headers(client, queries):
    queries.counts = {}
    reply = await client.get("/state/keyvalues/word-count/all")
    assert (reply.json(), reply.headers["content-type"]) == ([], "application/json")
    assert reply.headers["wordcount-as-of"] == "2:123,10:7"


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ("fox/over", ["fox", "over"]),
        ("fox/fox", ["fox"]),
        ("fo/foy", ["fox"]),
        ("fox%00/z", ["over", "the"]),
        ("/z", ["fox", "over", "the"]),
        ("/", []),
        ("over/fox", []),
        ("g/h", []),
        ("FOX/z", ["fox", "over", "the"]),
        ("fox/Z", []),
    ],
)
async def test_a_range_has_both_bounds_inclusive_and_not_normalised(client, bounds, found):
    reply = await client.get(f"/state/keyvalues/word-count/range/{bounds}")
    assert [row["key"] for row in reply.json()] == found


async def test_a_range_ends_asking_where_it_ends(client, queries):
    queries.counts = {f"w{number:05}": 1 for number in range(10_000)}
    rows = (await client.get("/state/keyvalues/word-count/range/w01000/w02500")).json()
    assert [row["key"] for row in rows] == [f"w{number:05}" for number in range(1000, 2501)]
    assert len(queries.asked) == 2


async def test_a_bound_may_hold_a_slash_if_it_is_encoded(client, queries):
    queries.counts = {"a/b": 1, "a/c": 2, "a": 3}
    reply = await client.get("/state/keyvalues/word-count/range/a%2Fb/a%2Fb")
    assert reply.json() == [{"key": "a/b", "value": 1}]
    assert (await client.get("/state/keyvalues/word-count/range/a/b/c")).status_code == 400
    assert (await client.get("/state/keyvalues/word-count/range/a")).status_code == 404


@given(st.text(max_size=3), st.lists(st.text(max_size=3)))
def test_the_text_before_a_word_leaves_no_word_of_a_range_out(first, words):
    before = word_before(first)
    assert before is None or before.encode() < first.encode()
    kept = {word for word in words if before is None or word.encode() > before.encode()}
    assert {word for word in words if word.encode() >= first.encode()} <= kept


async def test_workers_are_told_with_this_worker_first():
    asgi_app = create_asgi_app(
        FakeQueries(),
        FakeHealth(),
        CollectorRegistry(),
        VERSION,
        workers=lambda: [("10.0.0.7", 8080), ("10.0.0.8", 8081)],
    )
    transport = httpx.ASGITransport(asgi_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        this = {"host": "10.0.0.7", "port": 8080, "storeNames": STORES}
        other = {"host": "10.0.0.8", "port": 8081, "storeNames": STORES}
        assert (await client.get("/state/instances")).json() == [this, other]
        assert (await client.get("/state/instances/word-count")).json() == [this, other]
        assert (await client.get("/state/instance/word-count/fox")).json() == this


async def test_without_a_map_the_worker_is_the_one_that_was_asked(client):
    reply = await client.get("http://127.0.0.1:8123/state/instances")
    assert reply.json() == [{"host": "127.0.0.1", "port": 8123, "storeNames": STORES}]


WINDOWED = "/state/windowed/windowed-word-count"


async def test_windows_of_a_key_have_their_beginning_in_ms_and_no_zeros(client, queries):
    reply = await client.get(f"{WINDOWED}/FOX/1767225899999/1767226080000")
    assert reply.json() == [
        {"key": "fox@1767225900000", "value": 2},
        {"key": "fox@1767226020000", "value": 2},
    ]
    assert reply.headers["wordcount-complete"] == "true"
    assert queries.windows.asked[0]["start_s"] == 1767225900
    assert queries.windows.asked[0]["points"] == 4
    assert queries.windows.asked[0]["is_clipped"]


async def test_a_key_with_a_slash_has_windows_too(client, queries):
    queries.counts = {"a/b": 3}
    reply = await client.get(f"{WINDOWED}/a%2Fb/1767225900000/1767225900000")
    assert reply.json() == [{"key": "a/b@1767225900000", "value": 3}]


@pytest.mark.parametrize(
    ("path", "status"),
    [("fox/1", 404), ("a/b/1/2", 400), ("fox/1/x", 400), ("fox/2/1", 422), ("fox/1/999999999999999", 422)],
)
async def test_windows_need_two_times_in_order(client, path, status):
    assert (await client.get(f"{WINDOWED}/{path}")).status_code == status


@pytest.mark.parametrize(
    "path", ["/state/keyvalue/windowed-word-count/fox", "/state/windowed/word-count/fox/0/1"]
)
async def test_a_store_of_the_other_kind_is_unknown(client, path):
    reply = await client.get(path)
    assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == (404, "unknown-store")
