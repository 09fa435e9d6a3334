import asyncio

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from app.web.access.options import Access
from app.web.access.rate_limit import RateLimit
from app.web.access.scopes import ASKING, is_limited, needed_scope
from app.web.asgi import create_asgi_app
from app.web.connections import Limits
from app.web.server import WebServer, bound_socket
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries
from tests.unit.app.web.access.conftest import ADMIN, READER, WRITER, bearer
from tests.unit.app.web.paths import PARAMETERS

OPEN = ["/", "/page/main.js", "/livez", "/readyz", "/openapi.json"]
CLOSED = [
    "/v1/top",
    "/v1/words",
    "/v1/words/fox",
    "/v1/stats",
    "/v1/assignments",
    "/count/fox/",
    "/metrics",
    "/version",
    *("/state/instances", "/state/instances/word-count", "/state/instance/word-count/fox"),
    *(
        "/state/keyvalue/word-count/fox",
        "/state/keyvalues/word-count/all",
        "/state/keyvalues/word-count/range/a/z",
        "/state/windowed/windowed-word-count/fox/0/1767225900000",
        "/v1/windows",
        "/v1/windows/1m/top",
        "/v1/words/fox/windows",
        "/v1/trending",
        "/v1/watches",
    ),
]
ENDLESS = "/v1/stream"
"""A resource whose answer has no end; `tests/unit/app/web/resources/test_stream.py` asks it with tokens."""
SENDING = "/v1/texts"
WINDOWED = {"store": "windowed-word-count", "from": 0, "to": 1767225900000}
UNKNOWN = [
    "/nothing",
    "/v1",
    "/livez/",
    "/livez%0A",
    "/peer",
    "/v1/words/..%2F..%2Flivez",
    "/%2E/livez",
]


def name_of(reply):
    assert reply.headers["content-type"] == "application/problem+json"
    return reply.json()["type"].removeprefix("urn:problem-type:wordcount:")


def test_every_route_is_open_or_closed_here():
    asgi_app = create_asgi_app(FakeQueries(), FakeHealth(), CollectorRegistry(), VERSION)
    routes = {
        route.path.replace(":path", "").format(
            **PARAMETERS | (WINDOWED if "/windowed/" in route.path else {})
        )
        for route in asgi_app.routes
        if isinstance(route, Route)
    }
    assert routes <= {*OPEN, *CLOSED, *ASKING, ENDLESS, SENDING}


@pytest.mark.parametrize("path", [*OPEN, *CLOSED])
async def test_without_the_setting_everything_is_open(asking, path):
    async with asking(Access()) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", OPEN)
async def test_probes_and_documents_need_no_token_and_mind_no_wrong_one(asking, tokens, path):
    async with asking(Access(tokens.present)) as client:
        assert (await client.get(path)).status_code == 200
        assert (await client.get(path, headers=bearer("wrong"))).status_code == 200


@pytest.mark.parametrize("path", CLOSED)
async def test_data_need_the_scope_read(asking, tokens, path):
    async with asking(Access(tokens.present)) as client:
        for token in (READER, ADMIN):
            assert (await client.get(path, headers=bearer(token))).status_code == 200
        refused = await client.get(path)
        assert (refused.status_code, name_of(refused)) == (401, "unauthorized")
        assert refused.headers["www-authenticate"] == 'Bearer realm="wordcount", scope="read"'
        assert 'scope "read"' in refused.json()["detail"]
        wrong = await client.get(path, headers=bearer(READER + "x"))
        assert wrong.status_code == 401
        assert wrong.headers["www-authenticate"].endswith('scope="read", error="invalid_token"')
        assert 'scope "read"' in wrong.json()["detail"]
        scope = await client.get(path, headers=bearer(WRITER))
        assert (scope.status_code, name_of(scope)) == (403, "forbidden")
        assert scope.headers["www-authenticate"].endswith('scope="read", error="insufficient_scope"')
        assert 'scope "read"' in scope.json()["detail"]
        for reply in (refused, wrong, scope):
            assert WRITER not in reply.text
            assert READER not in reply.text


@pytest.mark.parametrize("path", UNKNOWN)
async def test_what_does_not_exist_is_closed_too(asking, tokens, path):
    async with asking(Access(tokens.present)) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=bearer(READER))).status_code in {200, 404}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/top", "read"),
        ("HEAD", "/v1/top", "read"),
        ("OPTIONS", "/v1/top", "read"),
        ("POST", "/v1/texts", "ingest"),
        ("POST", "/v1/words:batch", "read"),
        ("PUT", "/v1/words:batch", "admin"),
        ("PUT", "/v1/texts", "admin"),
        ("DELETE", "/v1/top", "admin"),
        ("get", "/v1/top", "admin"),
        ("GET", "/v1/admin/workers", "admin"),
        ("POST", "/v1/admin/rebuild", "admin"),
        ("POST", "/peer/top", None),
        ("GET", "/peer/map", None),
        ("GET", "/readyz", None),
    ],
)
def test_the_scope_follows_from_method_and_path(method, path, scope):
    assert needed_scope(method, path) == scope


@pytest.mark.parametrize("path", ASKING)
async def test_a_question_that_is_posted_needs_the_scope_read(asking, tokens, path):
    async with asking(Access(tokens.present)) as client:
        for token, status in ((READER, 200), (WRITER, 403), ("wrong", 401)):
            asked = {"text": "fox"} if path == "/v1/tokens" else {"words": ["fox"]}
            reply = await client.post(path, json=asked, headers=bearer(token))
            assert reply.status_code == status


async def test_a_post_needs_the_scope_ingest(asking, tokens):
    async with asking(Access(tokens.present)) as client:
        assert (await client.post("/v1/top", headers=bearer(WRITER))).status_code == 405
        refused = await client.post("/v1/top", headers=bearer(READER))
        assert (refused.status_code, 'scope "ingest"' in refused.json()["detail"]) == (403, True)


@pytest.mark.parametrize(
    "header",
    [
        READER,
        f"Basic {READER}",
        "Bearer",
        "Bearer ",
        f"Bearer{READER}",
        f"Bearer {READER} x",
        f"Bearer {READER},x",
    ],
)
async def test_an_authorization_that_is_no_bearer_token_is_refused(asking, tokens, header):
    async with asking(Access(tokens.present)) as client:
        reply = await client.get("/v1/top", headers={"Authorization": header})
    assert reply.status_code == 401
    assert "invalid_token" in reply.headers["www-authenticate"]


async def test_two_authorizations_are_refused_and_case_and_blanks_do_not_matter(asking, tokens):
    async with asking(Access(tokens.present)) as client:
        twice = [("Authorization", f"Bearer {READER}"), ("Authorization", f"Bearer {WRITER}")]
        assert (await client.get("/v1/top", headers=twice)).status_code == 401
        for header in (f"bearer {READER}", f"BEARER   {READER}"):
            assert (await client.get("/v1/top", headers={"Authorization": header})).status_code == 200


@pytest.mark.parametrize("query", [f"token={READER}", f"access_token={READER}"])
async def test_a_token_in_an_address_is_no_token(asking, tokens, query):
    async with asking(Access(tokens.present)) as client:
        assert (await client.get(f"/v1/top?{query}")).status_code == 401


async def test_a_client_above_its_rate_is_told_when_to_ask_again(asking):
    async with asking(Access(requests_per_s=1)) as client:
        assert [(await client.get("/v1/top")).status_code for _ in range(2)] == [200, 200]
        reply = await client.get("/v1/top")
        assert (reply.status_code, name_of(reply)) == (429, "too-many-requests")
        assert reply.headers["retry-after"] == "1"
        for path in ("/livez", "/readyz"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/peer/map")).status_code == 404
        forwarded = await client.get("/v1/top", headers={"X-Forwarded-For": "198.51.100.7"})
        assert forwarded.status_code == 429
    assert not is_limited("/peer/map")


async def test_clients_with_tokens_are_told_apart_by_name_and_others_by_address(asking, tokens):
    async with asking(Access(tokens.present, requests_per_s=1)) as client:
        for token in (READER, ADMIN):
            statuses = [(await client.get("/v1/top", headers=bearer(token))).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]
        statuses = [(await client.get("/v1/top", headers=bearer(f"guess-{n}"))).status_code for n in range(3)]
        assert statuses == [401, 401, 429]


def test_nothing_is_between_client_and_resources_where_nothing_is_set():
    assert Access().middleware() == []
    assert RateLimit(5).per_s == 5


class _Nobody:
    """An observer of connections that keeps nothing."""

    def __getattr__(self, name):
        return lambda *_, **__: None


async def test_the_server_does_not_believe_who_a_client_says_it_speaks_for():
    listener = bound_socket("127.0.0.1", 0)
    asgi_app = create_asgi_app(
        FakeQueries(), FakeHealth(), CollectorRegistry(), VERSION, access=Access(requests_per_s=1)
    )
    server = WebServer(asgi_app, lambda: [listener], lambda: Limits(10, 20_000), _Nobody())
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with server, httpx.AsyncClient(base_url=base_url) as client:
        while not server._server.started:
            await asyncio.sleep(0.01)
        told = [
            {"X-Forwarded-For": f"198.51.100.{number}", "X-Forwarded-Proto": "https"} for number in range(3)
        ]
        assert [(await client.get("/v1/top", headers=sent)).status_code for sent in told] == [200, 200, 429]
