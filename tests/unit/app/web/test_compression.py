"""Answers are compressed for clients that accept it, and only for those."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest
from starlette.responses import Response

from app.web.compression import Compression


@pytest.fixture
def many(queries):
    queries.counts = {f"word{number:04}": number + 1 for number in range(3000)}


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("path", ["/v1/words?limit=1000", "/v1/top?k=1000", "/", "/openapi.json", "/metrics"])
@pytest.mark.parametrize("accept", ["gzip", "deflate, gzip;q=0.5, br", "gzip;q=0.01"])
async def test_a_large_answer_is_compressed_if_the_client_accepts_that(client, path, accept):
    reply = await client.get(path, headers={"Accept-Encoding": accept})
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    assert reply.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in reply.headers["vary"]
    assert int(reply.headers["content-length"]) < len(plain.content) / 2
    if path != "/metrics":
        assert reply.content == plain.content


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("accept", ["identity", "gzip;q=0", "gzip; q=0.0, identity", "br, gzip;q=0.000", ""])
async def test_a_client_that_does_not_accept_it_gets_the_answer_as_it_is(client, accept):
    reply = await client.get("/v1/words?limit=1000", headers={"Accept-Encoding": accept})
    assert "content-encoding" not in reply.headers
    assert "Accept-Encoding" in reply.headers["vary"]
    assert len(reply.json()["words"]) == 1000


async def test_what_workers_tell_each_other_is_sent_as_it_is():
    async def answers(scope, receive, send):
        await Response(b"x" * 10_000, media_type="application/msgpack")(scope, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Compression(answers)), base_url="http://127.0.0.1"
    ) as client:
        reply = await client.get("/peer/v1/ask", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in reply.headers


async def test_a_small_answer_is_not_compressed_and_still_says_that_it_may_vary(client):
    reply = await client.get("/v1/words/fox", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in reply.headers
    assert reply.headers["vary"] == "Accept-Encoding"


@pytest.mark.usefixtures("many")
async def test_a_list_of_all_words_is_compressed_part_by_part(client):
    async with client.stream(
        "GET", "/v1/words", headers={"Accept-Encoding": "gzip", "Accept": "application/x-ndjson"}
    ) as reply:
        assert reply.headers["content-encoding"] == "gzip"
        assert reply.headers["vary"] == "Accept, Accept-Encoding"
        content = b"".join([part async for part in reply.aiter_raw()])
    *words, end = gzip.decompress(content).splitlines()
    assert len(words) == 3000
    assert json.loads(end)["words"] == 3000
