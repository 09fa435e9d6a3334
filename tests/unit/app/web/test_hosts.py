import httpx
import pytest
from prometheus_client import CollectorRegistry

from app.config.loading import load_settings
from app.web.asgi import create_asgi_app
from app.web.hosts import AllowedHosts
from app.worker.http_options import allowed_hosts
from tables.errors import ConfigurationError
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

LOCAL = ["localhost", "LOCALHOST:8080", "localhost.", "counts.localhost:8080"]
ADDRESSES = ["127.0.0.1", "127.0.0.1:8080", "10.2.3.4:80", "[::1]", "[::1]:8080", "[fe80::1]:8080", "::1"]
FOREIGN = [
    "attacker.example",
    "attacker.example:8080",
    "localhost.attacker.example",
    "127.0.0.1.attacker.example",
    "attackerlocalhost",
    "[attacker.example]",
    "127.0.0.1@attacker.example",
    "attacker.example:127.0.0.1",
    ":8080",
    "[",
    "\xff",
]


@pytest.mark.parametrize("host", [*LOCAL, *ADDRESSES, ""])
def test_loopback_names_addresses_and_none_are_allowed(host):
    assert AllowedHosts().allows(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_every_other_name_is_not(host):
    assert not AllowedHosts(["counts.example", "*.counts.example"]).allows(host)


def test_names_that_are_set_are_allowed_in_any_case_and_at_any_port():
    allowed = AllowedHosts(["Counts.example", "*.pods.example"])
    assert allowed.allows("counts.EXAMPLE:80")
    assert allowed.allows("a.b.pods.example")
    assert not allowed.allows("pods.example")
    assert not allowed.allows("x.counts.example")


@pytest.mark.parametrize("host", FOREIGN)
def test_a_star_allows_everything(host):
    assert AllowedHosts(["*"]).allows(host)


@pytest.mark.parametrize("path", ["/", "/v1/words/fox", "/v1/top", "/metrics", "/livez", "/nothing"])
async def test_another_host_is_told_what_to_do_on_every_path(client, path):
    reply = await client.get(path, headers={"Host": "attacker.example"})
    assert reply.status_code == 421
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["type"] == "urn:problem-type:wordcount:host-not-allowed"
    assert '"attacker.example"' in reply.json()["detail"]
    assert "WORDCOUNT_HTTP_ALLOWED_HOSTS" in reply.json()["detail"]


@pytest.mark.parametrize("host", ["[", "a b", "\x1b[31m"])
async def test_a_host_that_is_none_is_answered_even_where_all_are_allowed(host):
    asgi_app = create_asgi_app(
        FakeQueries(), FakeHealth(), CollectorRegistry(), VERSION, allowed_hosts=AllowedHosts(["*"])
    )
    transport = httpx.ASGITransport(asgi_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/nothing", headers={"Host": host})).status_code == 404
        assert (await client.get("/v1/words/fox", headers={"Host": host})).status_code == 200


def test_a_worker_is_known_by_what_it_listens_on_what_it_advertises_and_what_is_set(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "pod-0")
    monkeypatch.setenv("WORDCOUNT_HTTP_ALLOWED_HOSTS", "counts, *.pods.example")
    allowed = allowed_hosts(load_settings(http_host="counts.lan"))
    for host in ("pod-0:8080", "counts.lan", "counts", "pod-0.pods.example"):
        assert allowed.allows(host)
    assert not allowed.allows("attacker.example")


@pytest.mark.parametrize("names", ["a:80", "http://a", "a b", "a.*", "*.", "a..b"])
def test_a_name_that_no_host_can_have_is_refused_at_the_start(monkeypatch, names):
    monkeypatch.setenv("WORDCOUNT_HTTP_ALLOWED_HOSTS", names)
    with pytest.raises(ConfigurationError, match=r"WORDCOUNT_HTTP_ALLOWED_HOSTS is .*expected host names"):
        load_settings()
