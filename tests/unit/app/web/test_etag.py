"""Tags of answers: the same tag is the same answer, and a client that has it gets no body again."""

from __future__ import annotations

import pytest

from app.reads.answers import Behind

KEPT = [
    *(
        "/v1/words/fox",
        "/v1/words",
        "/v1/words?limit=1",
        "/v1/top",
        "/v1/stats",
        "/count/fox/",
        "/",
        "/version",
    ),
    *("/openapi.json", "/state/instances", "/state/keyvalue/word-count/fox"),
]
NOT_KEPT = [
    "/livez",
    "/readyz",
    "/metrics",
    "/v1/words/wolf",
    "/v1/words?limit=0",
    "/state/keyvalues/word-count/all",
]


@pytest.mark.parametrize("path", KEPT)
async def test_a_client_that_has_the_answer_gets_a_304_without_a_body(client, path):
    first = await client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    assert tag.startswith('"')
    again = await client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]
    assert not {"content-length", "content-type", "content-encoding"} & again.headers.keys()
    assert (await client.get(path, headers={"If-None-Match": "*"})).status_code == 304
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).content == first.content


@pytest.mark.parametrize("path", NOT_KEPT)
async def test_probes_metrics_problems_and_streams_are_not_kept(client, path):
    reply = await client.get(path, headers={"If-None-Match": "*"})
    assert reply.status_code != 304
    assert "etag" not in reply.headers
    assert reply.headers["cache-control"] == "no-store"


async def test_an_answer_to_a_post_is_not_kept(client):
    reply = await client.post("/v1/words:batch", json={"words": []}, headers={"If-None-Match": "*"})
    assert (reply.status_code, "etag" in reply.headers) == (200, False)


@pytest.mark.parametrize("path", [path for path in KEPT if path.startswith("/v1")])
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
async def test_whatever_changes_in_the_answer_changes_its_tag(client, queries, path, accept):
    tags = set()

    async def ask():
        reply = await client.get(path, headers={"Accept": accept, "If-None-Match": ", ".join(tags)})
        if "etag" in reply.headers:
            assert reply.status_code == 200
            tags.add(reply.headers["etag"])
        return "etag" in reply.headers

    streamed = not await ask()
    assert streamed == (path == "/v1/words" and accept == "text/csv")
    changes = [
        lambda: queries.as_of.update({10: 8}),
        lambda: setattr(queries, "behind", {2: Behind(8, 0.5)}),
        lambda: setattr(queries, "behind", {2: Behind(8, 0.75)}),
        lambda: setattr(queries, "served_by", {2: "view", 10: "active"}),
    ]
    for change in changes:
        change()
        await ask()
    assert len(tags) == (0 if streamed else 1 + len(changes))


@pytest.mark.parametrize("path", [path for path in KEPT if path.startswith(("/v1", "/count", "/state/keyv"))])
async def test_an_answer_of_a_follower_that_has_read_everything_is_kept_too(client, queries, path):
    queries.served_by = {2: "view", 10: "view"}
    queries.behind = {2: Behind(0, 0.0), 10: Behind(0, 0.0)}
    tag = (await client.get(path)).headers["etag"]
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304
    queries.behind = {2: Behind(0, 0.0), 10: Behind(0, 6.5)}
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_each_representation_has_its_own_tag(client, queries):
    queries.counts = {f"word{number}": 1 for number in range(300)}
    tags = {
        (await client.get("/v1/top?k=200", headers={"Accept": accept, "Accept-Encoding": coding})).headers[
            "etag"
        ]
        for accept in ("application/json", "application/x-ndjson", "text/csv")
        for coding in ("gzip", "identity")
    }
    assert len(tags) == 6


async def test_an_empty_list_of_one_place_is_not_taken_for_that_of_another(client, queries):
    queries.counts = {}
    first = await client.get("/v1/words?prefix=a&limit=1", headers={"Accept": "text/csv"})
    queries.as_of = {10: 9, 2: 123}
    second = await client.get("/v1/words?prefix=a&limit=1", headers={"Accept": "text/csv"})
    assert first.content == second.content
    assert first.headers["etag"] != second.headers["etag"]


@pytest.mark.parametrize("path", [*KEPT, *NOT_KEPT])
async def test_head_has_the_headers_of_get_and_no_body(client, path):
    get, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    if path == "/metrics":  # The process has used more time by the second scrape, perhaps in a longer number.
        assert head.headers.pop("content-length") and get.headers.pop("content-length")
    assert set(head.headers.items()) == set(get.headers.items())


async def test_head_of_a_kept_answer_is_a_304_too(client):
    tag = (await client.head("/v1/top")).headers["etag"]
    assert (await client.head("/v1/top", headers={"If-None-Match": tag})).status_code == 304
