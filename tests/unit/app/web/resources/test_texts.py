"""`POST /v1/texts`: what is taken, what is refused before anything is sent, and who may send how much."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.produce.receipt import NoIngest, NotDeliveredError
from app.web.access.options import Access
from app.web.access.tokens import read_tokens
from app.web.asgi import create_asgi_app
from app.web.intake import Intake
from app.web.resources.texts import MOST_HELD_BYTES, TEXT_BYTES
from app.web.text_bodies import MOST_TEXTS
from app.worker.metrics import Metrics
from tables.errors import NotReadyError
from tests.fakes.ingest import FakeIngest
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

PLAIN, NDJSON = {"Content-Type": "text/plain"}, {"Content-Type": "application/x-ndjson"}
GZIP = {"Content-Encoding": "gzip"}
LIMIT_BYTES = 1_048_576

Asking = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def taking(ingest: FakeIngest, metrics: Metrics) -> Asking:
    """A client of an application with this intake, given as options of `Intake`."""

    @asynccontextmanager
    async def started(access: Access | None = None, **options: object) -> AsyncIterator[httpx.AsyncClient]:
        intake = Intake(**{"ingest": ingest, "observer": metrics.http, **options})
        asgi_app = create_asgi_app(
            FakeQueries(), FakeHealth(), metrics.registry, VERSION, access=access, intake=intake
        )
        transport = httpx.ASGITransport(asgi_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            yield client

    return started


def name_of(reply: httpx.Response) -> str:
    assert reply.headers["content-type"] == "application/problem+json"
    return str(reply.json()["type"]).removeprefix("urn:problem-type:wordcount:")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/json", b'{"texts": ["one", "two"]}'),
        ("Application/JSON; charset=UTF-8", b'{"texts": ["one", "two"]}'),
        ("application/x-ndjson", b'"one"\n{"text": "two"}\n'),
        ("text/plain", b"one\r\ntwo"),
        ('text/plain; format=flowed; charset="utf-8"', b"one\ntwo\n"),
    ],
)
async def test_each_form_has_its_texts(
    client: httpx.AsyncClient, ingest: FakeIngest, media_type: str, body: bytes, packed: bool
) -> None:
    headers = {"Content-Type": media_type, **(GZIP if packed else {})}
    reply = await client.post("/v1/texts", content=gzip.compress(body) if packed else body, headers=headers)
    assert reply.status_code == 202
    assert reply.json() == {"accepted": 2, "partitions": {"10": 7}, "after": "10:6"}
    assert ingest.sent == [(["one", "two"], None)]
    assert reply.headers["cache-control"] == "no-store"


async def test_after_of_a_receipt_is_a_term_of_a_question(client: httpx.AsyncClient) -> None:
    after = (await client.post("/v1/texts", content=b"one\ntwo", headers=PLAIN)).json()["after"]
    assert (await client.get("/v1/top", params={"after": after})).status_code == 200


@pytest.mark.parametrize("key", ["a", "~" * 255, "!#$%,;:\"'"])
async def test_a_key_is_given_on(client: httpx.AsyncClient, ingest: FakeIngest, key: str) -> None:
    reply = await client.post("/v1/texts", content=b"one", headers={**PLAIN, "Idempotency-Key": key})
    assert reply.status_code == 202
    assert ingest.sent == [(["one"], key)]


@pytest.mark.parametrize("keys", [[""], ["a b"], ["~" * 256], ["é"], ["\x7f"], ["a", "a"]])
async def test_what_is_no_key_is_refused(
    client: httpx.AsyncClient, ingest: FakeIngest, keys: list[str]
) -> None:
    headers = [(b"Content-Type", b"text/plain"), *((b"Idempotency-Key", key.encode()) for key in keys)]
    reply = await client.post("/v1/texts", content=b"one", headers=headers)
    assert (reply.status_code, name_of(reply)) == (400, "bad-request")
    assert "255 visible ASCII" in reply.json()["detail"]
    assert ingest.sent == []


@pytest.mark.parametrize(
    ("headers", "remedy"),
    [
        ([], "application/json or application/x-ndjson or text/plain"),
        ([("Content-Type", "application/x-www-form-urlencoded")], "application/json"),
        ([("Content-Type", "text/plain; charset=iso-8859-1")], "in UTF-8"),
        ([("Content-Type", "text/plain"), ("Content-Encoding", "br")], "packed by gzip"),
        ([("Content-Type", "text/plain"), ("Content-Encoding", "gzip, gzip")], "packed by gzip"),
        ([("Content-Type", "text/plain"), *[("Content-Encoding", "gzip")] * 2], "packed by gzip"),
    ],
)
async def test_other_types_and_codings_are_refused_with_those_that_are_taken(
    client: httpx.AsyncClient, ingest: FakeIngest, headers: list[tuple[str, str]], remedy: str
) -> None:
    reply = await client.post("/v1/texts", content=b"one", headers=headers)
    assert (reply.status_code, name_of(reply)) == (415, "unsupported-media-type")
    assert remedy in reply.json()["detail"]
    assert ingest.sent == []


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"texts": ["a", 1]}', {"Content-Type": "application/json"}, 400),
        (b'"a"\n"b', NDJSON, 400),
        (b"a\n\xff", PLAIN, 400),
        (gzip.compress(b"a")[:-1], {**PLAIN, **GZIP}, 400),
        (b"a" * (LIMIT_BYTES + 1), PLAIN, 413),
        (b"\n" * 20_001, PLAIN, 413),
        (gzip.compress(b"a" * (LIMIT_BYTES + 1)), {**PLAIN, **GZIP}, 413),
        (gzip.compress(bytes(100 << 20), 1), {**PLAIN, **GZIP}, 413),
    ],
    ids=["JSON", "NDJSON", "UTF-8", "gzip", "large", "many", "large when unpacked", "bomb"],
)
async def test_a_mistake_anywhere_sends_nothing(
    client: httpx.AsyncClient, ingest: FakeIngest, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert (await client.post("/v1/texts", content=content, headers=headers)).status_code == status
    assert ingest.sent == []


async def test_a_body_is_not_read_further_than_its_bound(client: httpx.AsyncClient) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 50:
            read += 1
            yield b"a" * 65_536

    reply = await client.post("/v1/texts", content=endless(), headers=PLAIN)
    assert (reply.status_code, name_of(reply)) == (413, "content-too-large")
    assert read <= 18


async def test_unknown_parameters_and_other_methods_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/texts?key=1", content=b"a", headers=PLAIN)).status_code == 400
    assert (await client.get("/v1/texts")).status_code == 405


async def test_a_process_that_takes_no_texts_says_why(taking: Asking) -> None:
    async with taking(ingest=NoIngest("a view takes no texts", "send them to a worker")) as client:
        reply = await client.post("/v1/texts", content=b"a", headers=PLAIN)
    assert (reply.status_code, name_of(reply)) == (403, "ingest-off")
    assert reply.json()["detail"] == "a view takes no texts; send them to a worker"


async def test_what_the_brokers_have_not_confirmed_is_told(
    client: httpx.AsyncClient, ingest: FakeIngest, metrics: Metrics
) -> None:
    ingest.error = NotDeliveredError("2 of 5 are confirmed", "send again", accepted=2, in_doubt=1)
    reply = await client.post("/v1/texts", content=b"a\nb\nc\nd\ne", headers=PLAIN)
    assert (reply.status_code, name_of(reply)) == (503, "not-delivered")
    assert (reply.json()["accepted"], reply.json()["in_doubt"]) == (2, 1)
    assert reply.headers["retry-after"] == "1"
    ingest.error = NotReadyError("this worker stops")
    assert (await client.post("/v1/texts", content=b"a", headers=PLAIN)).status_code == 503
    ingest.error = None
    await client.post("/v1/texts", content=b"a b\nc", headers=PLAIN)
    await client.post("/v1/texts", content=b"a", headers=NDJSON)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"wordcount_ingest_{name}_total", labels)

    outcomes = ["accepted", "not-delivered", "not-ready", "bad-request"]
    assert [value("requests", outcome=outcome) for outcome in outcomes] == [1] * 4
    assert [value("texts", outcome=outcome) for outcome in ("accepted", "in_doubt")] == [4, 1]
    assert value("bytes") == 5


async def test_who_has_sent_too_many_bytes_is_told_when_to_send_again(
    taking: Asking, ingest: FakeIngest
) -> None:
    async with taking(bytes_per_s=1024) as client:
        assert (await client.post("/v1/texts", content=b"a" * 10_240, headers=PLAIN)).status_code == 202
        reply = await client.post("/v1/texts", content=b"a", headers=PLAIN)
        assert (reply.status_code, name_of(reply)) == (429, "too-many-requests")
        assert 7 <= int(reply.headers["retry-after"]) <= 8
        assert "1024 bytes of texts per second" in reply.json()["detail"]
    assert len(ingest.sent) == 1


async def test_each_token_has_a_share_of_bytes_of_its_own(taking: Asking, tmp_path: Path) -> None:
    one, two, reader = (f"{name}-token-0123456789" for name in ("one", "two", "reader"))
    file = tmp_path / "tokens"
    file.write_text(f"one ingest {one}\ntwo ingest {two}\nreader read {reader}\n")
    async with taking(Access(lambda: read_tokens(file)), bytes_per_s=1024) as client:
        for token, status in ((one, 202), (one, 429), (two, 202), (reader, 403)):
            headers = {**PLAIN, "Authorization": f"Bearer {token}"}
            reply = await client.post("/v1/texts", content=b"a" * 10_240, headers=headers)
            assert reply.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 202),
        ("http://127.0.0.1:8080", 202),
        ("https://127.0.0.1:8080", 202),  # a proxy may end TLS
        ("https://dashboard.example", 202),
        ("http://dashboard.example", 400),
        ("http://127.0.0.1:8081", 400),
        ("http://127.0.0.1", 400),
        ("https://evil.example", 400),
        ("null", 400),
        ("", 400),
        ("://", 400),
    ],
)
async def test_only_own_pages_and_those_of_allowed_origins_may_send(
    taking: Asking, ingest: FakeIngest, origin: str | None, status: int
) -> None:
    headers = {**PLAIN, **({} if origin is None else {"Origin": origin})}
    async with taking(origins=["https://dashboard.example"]) as client:
        reply = await client.post("/v1/texts", content=b"a", headers=headers)
    assert reply.status_code == status
    assert len(ingest.sent) == (status == 202)
    assert status == 202 or (name_of(reply), "WORDCOUNT_CORS_ORIGINS" in reply.text) == (
        "origin-not-allowed",
        True,
    )


async def test_a_star_lets_pages_of_every_origin_send(taking: Asking) -> None:
    async with taking(origins=["*"]) as client:
        headers = {**PLAIN, "Origin": "https://any.example"}
        assert (await client.post("/v1/texts", content=b"a", headers=headers)).status_code == 202


async def test_a_page_may_send_a_key_and_a_packed_body(taking: Asking) -> None:
    origin = "https://dashboard.example"
    async with taking(Access(origins=[origin])) as client:
        reply = await client.options(
            "/v1/texts",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type,content-encoding,idempotency-key",
            },
        )
    assert reply.status_code == 200


async def test_a_text_may_hold_any_character(client: httpx.AsyncClient, ingest: FakeIngest) -> None:
    texts = ["a\nb\x00\u2028", "é👍", ""]
    reply = await client.post(
        "/v1/texts", content=json.dumps({"texts": texts}), headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 202
    assert ingest.sent[0][0] == texts


async def test_many_short_texts_count_with_what_they_take_in_memory(
    taking: Asking, ingest: FakeIngest
) -> None:
    ingest.may_answer.clear()
    content = b"ab\n" * MOST_TEXTS
    most = MOST_HELD_BYTES // (len(content) + MOST_TEXTS * TEXT_BYTES)
    async with taking() as client:
        sending = [
            asyncio.create_task(client.post("/v1/texts", content=content, headers=PLAIN))
            for _ in range(most + 3)
        ]
        refused, waiting = [], set(sending)
        while len(waiting) > most:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            refused += [(await one).status_code for one in done]
        ingest.may_answer.set()
        assert [(await one).status_code for one in waiting] == [202] * most
        assert refused == [503] * 3
        assert (await client.post("/v1/texts", content=content, headers=PLAIN)).status_code == 202
