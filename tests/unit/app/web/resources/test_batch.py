"""Many words in one question."""

from __future__ import annotations

import json

import pytest

from app.config.settings import Settings
from app.web.request_bodies import MOST_BYTES
from tables.errors import NotReadyError

BATCH = "/v1/words:batch"
JSON = {"Content-Type": "application/json"}


async def test_counts_come_in_the_order_of_the_words_with_0_for_unknown_ones(client):
    reply = await client.post(BATCH, json={"words": ["wolf", "THE", "fox", "the", ""]})
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.text == (
        '{"words":[{"word":"wolf","count":0},{"word":"the","count":5},{"word":"fox","count":2},{"word":"the","count":5},'
        '{"word":"","count":0}],"as_of":{"2":123,"10":7},"complete":true,"missing_partitions":[],'
        '"served_by":{"2":"standby","10":"active"},"behind":{"2":{"records":7,"seconds":0.5}}}'
    )


async def test_no_words_are_a_question_too(client):
    reply = await client.post(BATCH, json={"words": []})
    assert (reply.status_code, reply.json()["words"]) == (200, [])


async def test_ten_thousand_words_and_not_one_more(client):
    words = [f"w{number}" for number in range(10_000)]
    reply = await client.post(BATCH, json={"words": words})
    assert [row["word"] for row in reply.json()["words"]] == words
    reply = await client.post(BATCH, json={"words": [*words, "x"]})
    assert reply.status_code == 422
    assert "10000 at most" in reply.json()["detail"]


async def test_terms_hold_for_many_words_too(client, queries):
    reply = await client.post(f"{BATCH}?after=10:7", json={"words": ["fox"]})
    assert reply.status_code == 504
    queries.complete, queries.missing = False, [3]
    assert (await client.post(BATCH, json={"words": ["fox"]})).status_code == 503
    reply = await client.post(f"{BATCH}?allow_partial=true", json={"words": ["wolf"]})
    assert (reply.status_code, reply.json()["missing_partitions"]) == (200, [3])
    queries.error = NotReadyError("not yet")
    assert (await client.post(BATCH, json={"words": ["fox"]})).status_code == 503


async def test_many_words_come_as_ndjson_and_csv_too(client):
    asked = {"words": ["wolf", "fox"]}
    csv = await client.post(BATCH, json=asked, headers={"Accept": "text/csv"})
    assert csv.text == "word,count\r\nwolf,0\r\nfox,2\r\n"
    assert csv.headers["wordcount-as-of"] == "2:123,10:7"
    lines = await client.post(BATCH, json=asked, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line).get("count") for line in lines.text.splitlines()] == [0, 2, None]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"words": ["\xff"]}', "not JSON"),
        (b'{"words": ["\\ud800"]}', "not JSON"),
        (b"[" * 100_000, "not as it has to be"),
        (b"[]", "not as it has to be"),
        (b"{}", "`words`"),
        (b'{"words": "fox"}', "$.words"),
        (b'{"words": [1]}', "$.words[0]"),
        (b'{"words": [], "limit": 1}', "limit"),
    ],
)
async def test_what_is_no_list_of_words_is_a_400_that_says_what_is_wrong(client, queries, content, said):
    reply = await client.post(BATCH, content=content, headers=JSON)
    assert reply.status_code == 400
    assert said in reply.json()["detail"]
    assert len(reply.content) < 1000
    assert queries.asked == []


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_another_media_type_is_a_415(client, media_type):
    reply = await client.post(BATCH, content=b'{"words":[]}', headers={"Content-Type": media_type})
    assert reply.status_code == 415
    assert reply.json()["type"].endswith(":unsupported-media-type")
    assert "application/json" in reply.json()["detail"]


async def test_a_charset_of_json_is_passed_over_and_a_compressed_body_is_refused(client):
    body = b'{"words":[]}'
    reply = await client.post(
        BATCH, content=body, headers={"Content-Type": "Application/JSON; charset=utf-8"}
    )
    assert reply.status_code == 200
    reply = await client.post(BATCH, content=body, headers={**JSON, "Content-Encoding": "gzip"})
    assert reply.status_code == 415


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_another_method_is_a_405(client, method):
    reply = await client.request(method, BATCH)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


async def test_a_body_has_a_bound(client):
    body = b'{"words":[]}'
    assert (await client.post(BATCH, content=body.ljust(MOST_BYTES), headers=JSON)).status_code == 200
    reply = await client.post(BATCH, content=body.ljust(MOST_BYTES + 1), headers=JSON)
    assert reply.status_code == 413
    assert reply.json()["type"].endswith(":content-too-large")


def test_any_word_that_may_be_counted_fits_into_a_body():
    (bound,) = [rule.le for rule in Settings.model_fields["max_word_bytes"].metadata if hasattr(rule, "le")]
    escaped = len("\\u0001") * bound
    assert escaped + len('{"words":[""]}') < MOST_BYTES
