"""All words in one answer, and what a client sees if such an answer breaks off."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from prometheus_client import CollectorRegistry

from app.reads.answers import WHOLE, Answer, IncompleteError, Terms, WordPage
from app.web.asgi import create_asgi_app
from app.web.streams import BrokenStreamError
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

NDJSON = {"Accept": "application/x-ndjson"}
CSV = {"Accept": "text/csv"}


class Breaking(FakeQueries):
    """Counts that go on between two pages, and fail at a page."""

    def __init__(self, words: int, fails_at: int = 0, failure: Exception | None = None) -> None:
        super().__init__(counts={f"w{number:05}": number + 1 for number in range(words)})
        self.pages = 0
        self.missing_at: dict[int, list[int]] = {}
        self._fails_at, self._failure = fails_at, failure

    async def list(
        self, prefix: str, after: str | None, limit: int, terms: Terms = WHOLE
    ) -> Answer[WordPage]:
        self.pages += 1
        if self.pages == self._fails_at and self._failure is not None:
            raise self._failure
        self.as_of = {2: 100 + self.pages, 10: 7}
        self.missing = self.missing_at.get(self.pages, [])
        self.complete = not self.missing
        return await super().list(prefix, after, limit, terms)


def client_of(queries: FakeQueries, *, raises: bool = False) -> httpx.AsyncClient:
    asgi_app = create_asgi_app(queries, FakeHealth(), CollectorRegistry(), VERSION)
    transport = httpx.ASGITransport(asgi_app, raise_app_exceptions=raises)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def test_all_words_come_as_ndjson_with_the_first_and_the_last_positions():
    queries = Breaking(2500)
    async with client_of(queries, raises=True) as client:
        reply = await client.get("/v1/words", headers=NDJSON)
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
    assert "content-length" not in reply.headers
    *words, end = [json.loads(line) for line in reply.text.splitlines()]
    assert words == [{"word": word, "count": count} for word, count in queries.counts.items()]
    assert end == {
        "words": 2500,
        "first_as_of": {"2": 101, "10": 7},
        "next_cursor": None,
        "as_of": {"2": 103, "10": 7},
        "complete": True,
        "missing_partitions": [],
        "served_by": {"2": "standby", "10": "active"},
        "behind": {"2": {"records": 7, "seconds": 0.5}},
    }
    assert queries.pages == 3


async def test_all_words_come_as_csv_with_the_first_positions_in_headers():
    queries = Breaking(2500)
    async with client_of(queries, raises=True) as client:
        reply = await client.get("/v1/words", headers=CSV)
    rows = [f"{word},{count}" for word, count in queries.counts.items()]
    assert reply.text == "\r\n".join(["word,count", *rows, ""])
    assert reply.headers["wordcount-as-of"] == "2:101,10:7"


@pytest.mark.parametrize("headers", [NDJSON, CSV])
async def test_prefix_and_cursor_choose_the_words(headers):
    queries = Breaking(30)
    async with client_of(queries) as client:
        cursor = (await client.get("/v1/words?limit=16&prefix=w0001")).json()["next_cursor"]
        assert cursor is None
        cursor = (await client.get("/v1/words?limit=8&prefix=w0001")).json()["next_cursor"]
        reply = await client.get(f"/v1/words?prefix=w0001&cursor={cursor}", headers=headers)
    assert "w00018" in reply.text
    assert "w00019" in reply.text
    assert "w00017" not in reply.text
    assert "w00020" not in reply.text


async def test_with_a_limit_or_as_json_a_list_is_one_page():
    queries = Breaking(2500)
    async with client_of(queries) as client:
        assert (await client.get("/v1/words?limit=5", headers=CSV)).text.count("\r\n") == 6
        assert len((await client.get("/v1/words")).json()["words"]) == 100
    assert queries.pages == 2


async def test_large_words_are_sent_in_parts_of_bounded_size():
    queries = FakeQueries(counts={f"{number:03}" + "x" * 10_000: 1 for number in range(100)})
    asgi_app = create_asgi_app(queries, FakeHealth(), CollectorRegistry(), VERSION)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/words",
        "raw_path": b"/v1/words",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", b"text/csv")],
    }
    messages = [{"type": "http.request", "body": b"", "more_body": False}]
    sizes = []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sizes.append(len(message.get("body", b"")))

    await asgi_app(scope, receive, send)
    assert sum(sizes) > 1_000_000
    assert max(sizes) < 50_000


FAILURE = IncompleteError({2: "its worker does not answer"})


async def test_a_failure_before_the_first_word_is_a_problem_like_any_other():
    for headers in (NDJSON, CSV):
        async with client_of(Breaking(2500, 1, FAILURE)) as client:
            reply = await client.get("/v1/words", headers=headers)
        assert (reply.status_code, reply.json()["missing_partitions"]) == (503, [2])


async def test_a_failure_in_the_midst_is_the_last_line_of_ndjson_and_says_where_to_go_on():
    queries = Breaking(2500, 2, FAILURE)
    async with client_of(queries) as client:
        reply = await client.get("/v1/words", headers=NDJSON)
        *words, problem = [json.loads(line) for line in reply.text.splitlines()]
        assert len(words) == 1000
        assert (problem["status"], problem["title"]) == (503, "Partitions do not answer")
        assert problem["type"] == "urn:problem-type:wordcount:incomplete"
        assert "its worker does not answer" in problem["detail"]
        rest = await client.get(f"/v1/words?cursor={problem['next_cursor']}", headers=NDJSON)
        *further, _ = [json.loads(line) for line in rest.text.splitlines()]
    assert {row["word"]: row["count"] for row in words + further} == queries.counts


@pytest.mark.parametrize(
    ("path", "headers"), [("/v1/words", NDJSON), ("/v1/words", CSV), ("/state/keyvalues/word-count/all", {})]
)
async def test_a_failure_in_the_midst_breaks_the_answer_off(path, headers):
    async with client_of(Breaking(2500, 2, FAILURE), raises=True) as client:
        with pytest.raises(BrokenStreamError):
            await client.get(path, headers=headers)


async def test_an_unexpected_failure_keeps_its_text_to_itself():
    async with client_of(Breaking(2500, 2, RuntimeError("internal detail"))) as client:
        reply = await client.get("/v1/words", headers=NDJSON)
    problem = json.loads(reply.text.splitlines()[-1])
    assert problem["type"].endswith(":unexpected")
    assert "internal detail" not in reply.text
    async with client_of(Breaking(2500, 2, RuntimeError("internal detail")), raises=True) as client:
        with pytest.raises(RuntimeError):
            await client.get("/v1/words", headers=NDJSON)


async def test_a_partition_that_was_missing_in_any_page_is_missing():
    queries = Breaking(2500)
    queries.missing_at = {1: [4], 2: [2]}
    async with client_of(queries) as client:
        reply = await client.get("/v1/words?allow_partial=true", headers=NDJSON)
    end = json.loads(reply.text.splitlines()[-1])
    assert (end["complete"], end["missing_partitions"]) == (False, [2, 4])
    assert (end["as_of"], end["first_as_of"]) == ({"10": 7}, {"10": 7})
    assert (end["served_by"], end["behind"]) == ({"10": "active"}, {})


FRESH_BY_HEADERS = [("/v1/words", CSV), ("/state/keyvalues/word-count/all", {})]


@pytest.mark.parametrize(("path", "headers"), FRESH_BY_HEADERS)
@pytest.mark.parametrize("missing", [{3: [4]}, {1: [4], 2: [4], 3: [2, 4]}])
async def test_a_partition_that_the_sent_headers_promise_and_a_later_page_lacks_breaks_the_answer_off(
    path, headers, missing
):
    queries = Breaking(2500)
    queries.missing_at = missing
    async with client_of(queries, raises=True) as client:
        with pytest.raises(BrokenStreamError) as broken:
            await client.get(f"{path}?allow_partial=true", headers=headers)
    assert isinstance(broken.value.__cause__, IncompleteError)


@pytest.mark.parametrize(("path", "headers"), FRESH_BY_HEADERS)
async def test_a_partition_that_the_sent_headers_name_as_missing_breaks_nothing_off(path, headers):
    queries = Breaking(2500)
    queries.missing_at = {1: [3, 4], 2: [4], 3: [3]}
    async with client_of(queries, raises=True) as client:
        reply = await client.get(f"{path}?allow_partial=true", headers=headers)
    assert (reply.headers["wordcount-complete"], reply.headers["wordcount-missing-partitions"]) == (
        "false",
        "3,4",
    )
    assert reply.text.count("w0") == 2500


async def test_a_partition_that_vanishes_while_their_number_is_unknown_breaks_the_answer_off():
    class Vanishing(Breaking):
        async def list(
            self, prefix: str, after: str | None, limit: int, terms: Terms = WHOLE
        ) -> Answer[WordPage]:
            answer = await super().list(prefix, after, limit, terms)
            as_of = {10: 7} if self.pages > 1 else answer.as_of
            return Answer(answer.value, as_of, complete=False)

    async with client_of(Vanishing(2500), raises=True) as client:
        with pytest.raises(BrokenStreamError):
            await client.get("/v1/words?allow_partial=true", headers=CSV)


async def test_head_asks_for_one_page_and_sends_none():
    queries = Breaking(2500)
    async with client_of(queries) as client:
        reply = await client.head("/v1/words", headers=CSV)
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["wordcount-as-of"] == "2:101,10:7"
    assert queries.pages == 1
