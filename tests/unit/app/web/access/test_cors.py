import pytest

from app.config.loading import load_settings
from app.web.access.options import Access
from tables.errors import ConfigurationError
from tests.unit.app.web.access.conftest import READER, bearer

ORIGIN = "https://dashboard.example"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
}


def allowed(reply):
    return reply.headers.get("access-control-allow-origin")


async def test_no_page_of_another_origin_may_read_answers_by_default(asking):
    async with asking(Access()) as client:
        assert allowed(await client.get("/v1/top", headers={"Origin": ORIGIN})) is None
        assert (await client.options("/v1/top", headers=PREFLIGHT)).status_code == 405


async def test_pages_of_the_given_origins_may_read_answers_and_refusals(asking, tokens):
    async with asking(Access(tokens.present, 1, [ORIGIN])) as client:
        asked = await client.options("/v1/top", headers=PREFLIGHT)
        assert (asked.status_code, allowed(asked)) == (200, ORIGIN)
        assert "Authorization" in asked.headers["access-control-allow-headers"]
        assert asked.headers["x-content-type-options"] == "nosniff"
        for sent, status in ((bearer(READER), 200), ({}, 401), ({}, 401), ({}, 429)):
            reply = await client.get("/v1/top", headers={"Origin": ORIGIN, **sent})
            assert (reply.status_code, allowed(reply)) == (status, ORIGIN)
            readable = reply.headers["access-control-expose-headers"].split(", ")
            assert {"Retry-After", "ETag", "Wordcount-As-Of", "Wordcount-Next-Cursor"} <= set(readable)
            assert "access-control-allow-credentials" not in reply.headers


async def test_another_origin_is_refused_with_a_problem_and_reads_nothing(asking):
    async with asking(Access(origins=[ORIGIN])) as client:
        other = {**PREFLIGHT, "Origin": "https://other.example"}
        asked = await client.options("/v1/top", headers=other)
        assert (asked.status_code, allowed(asked)) == (400, None)
        assert asked.json()["type"] == "urn:problem-type:wordcount:origin-not-allowed"
        assert "WORDCOUNT_CORS_ORIGINS" in asked.json()["detail"]
        assert allowed(await client.get("/v1/top", headers=other)) is None


async def test_a_star_allows_pages_of_every_origin(asking):
    async with asking(Access(origins=["*"])) as client:
        assert allowed(await client.get("/v1/top", headers={"Origin": "https://any.example"})) == "*"


@pytest.mark.parametrize(
    "path", ["/", "/v1/top", "/v1/words/none", "/livez", "/metrics", "/version", "/openapi.json", "/no"]
)
async def test_every_answer_has_the_headers_that_protect_browsers(asking, path):
    async with asking(Access()) as client:
        headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if "etag" in headers else "no-store")
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize(
    "origins",
    [
        "dashboard.example",
        "https://a.example/",
        "https://A.example",
        "ftp://a",
        "https://a b",
        "null",
        "https://a:x",
    ],
)
def test_what_no_browser_sends_as_origin_is_refused_at_the_start(monkeypatch, origins):
    monkeypatch.setenv("WORDCOUNT_CORS_ORIGINS", origins)
    with pytest.raises(ConfigurationError, match=r"WORDCOUNT_CORS_ORIGINS is .*expected origins"):
        load_settings()


def test_origins_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("WORDCOUNT_CORS_ORIGINS", "https://a.example, http://[::1]:3000,*")
    assert load_settings().cors_origins == ("https://a.example", "http://[::1]:3000", "*")
