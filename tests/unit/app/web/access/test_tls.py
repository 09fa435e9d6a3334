"""HTTP over TLS, on a real server on loopback and on both event loops that a worker may have."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app.web import connections
from app.web.access import renewed
from app.web.access.tls import server_context
from app.web.asgi import create_asgi_app
from app.web.connections import Limits
from app.web.server import WebServer, bound_socket
from tables.errors import ConfigurationError
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries
from tests.integration.certificates import Authority

LIMITS = Limits(connections=4, head_bytes=20_000, request_s=0.4, answer_s=0.6)
DEADLINE_S = 10.0
ASKED = b"GET /v1/words/fox HTTP/1.1\r\nHost: localhost\r\n\r\n"
NONSENSE = b"nonsense\r\n\r\n"

Test = Callable[["Served"], Awaitable[None]]


@dataclass
class Served:
    """A running server over TLS, and what it says of its connections."""

    port: int
    authority: Authority
    cert_file: Path
    trusting: ssl.SSLContext
    queries: FakeQueries = field(default_factory=FakeQueries)
    open_now: int = 0
    most_open: int = 0
    closed: Counter[str] = field(default_factory=Counter)

    def http_connections(self, open_now: int) -> None:
        self.open_now, self.most_open = open_now, max(open_now, self.most_open)

    def http_connection_closed(self, reason: str) -> None:
        self.closed[reason] += 1

    async def connect(self, sent: bytes = b"", *, tls: bool = True) -> Any:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trusting if tls else None
        )
        writer.write(sent)
        return reader, writer

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    authority = Authority()
    ca_file = authority.write_certificate(folder / "ca.pem")
    cert_file = authority.write_signed(folder / "server.pem", "one", hosts=["127.0.0.1"])
    listener = bound_socket("127.0.0.1", 0)
    trusting = ssl.create_default_context(cafile=ca_file)
    served = Served(listener.getsockname()[1], authority, cert_file, trusting)
    asgi_app = create_asgi_app(served.queries, FakeHealth(), CollectorRegistry(), VERSION)
    tls = server_context(cert_file, None).present
    async with WebServer(asgi_app, lambda: [listener], lambda: LIMITS, served, tls) as server:
        while not server._server.started:
            await asyncio.sleep(0.01)
        yield served


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Test], Served]:
    """Run a test with a server on a loop of its own."""
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(connections, "LINGER_S", 0.2)
    monkeypatch.setattr(renewed, "LOOK_EVERY_S", 0.0)

    async def tested(test: Test) -> Served:
        async with serving(tmp_path) as served:
            async with asyncio.timeout(3 * DEADLINE_S):
                await test(served)
        return served

    def within_loop(test: Test) -> Served:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(tested(test))

    return within_loop


async def subject(served: Served) -> str:
    """Common name in the certificate that a new connection gets."""
    _, writer = await served.connect()
    found = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])
    writer.close()
    return str(found["commonName"])


def test_answers_come_over_tls_and_say_that_the_host_is_asked_only_so(run):
    async def test(served: Served) -> None:
        async with httpx.AsyncClient(
            verify=served.trusting, base_url=f"https://127.0.0.1:{served.port}"
        ) as client:
            for _ in range(3):
                reply = await client.get("/v1/words/fox")
                assert (reply.status_code, reply.json()["count"]) == (200, 2)
                assert reply.headers["strict-transport-security"] == "max-age=604800"
            assert served.most_open == 1
            served.queries.counts = {f"{number:06}" + "x" * 5_000: 1 for number in range(1000)}
            assert len((await client.get("/v1/words?limit=1000")).json()["words"]) == 1000
            assert (await client.get("/nothing")).headers["strict-transport-security"]
        await served.until(lambda: served.open_now == 0)

    assert run(test).closed == {}


def test_versions_before_1_2_are_refused(run):
    async def test(served: Served) -> None:
        old = ssl.create_default_context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        served.trusting, trusting = old, served.trusting
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await served.connect()
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        served.trusting = trusting
        _, writer = await served.connect()
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.close()

    with pytest.warns(DeprecationWarning):
        run(test)


def test_a_client_that_begins_no_handshake_is_closed_in_time(run):
    async def test(served: Served) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        reader, writer = await served.connect(tls=False)
        assert await reader.read() == b""
        assert LIMITS.request_s - 0.1 < loop.time() - started_s < 2
        writer.close()
        reader, writer = await served.connect(b"\x16\x03\x01\x02\x00\x01", tls=False)
        assert await reader.read() == b""
        writer.close()
        await served.until(lambda: served.open_now == 0)

    assert run(test).closed == {"silent": 2}


def test_a_client_that_asks_nothing_after_its_handshake_is_closed_in_time(run):
    async def test(served: Served) -> None:
        reader, writer = await served.connect()
        assert await reader.read() == b""
        writer.close()

    assert run(test).closed == {"silent": 1}


def test_what_is_no_tls_is_closed_and_counted(run, caplog):
    async def test(served: Served) -> None:
        reader, writer = await served.connect(ASKED, tls=False)
        assert b"HTTP" not in await reader.read()
        writer.close()
        await served.until(lambda: served.open_now == 0)

    assert run(test).closed == {"malformed": 1}
    assert caplog.records == []


def test_a_client_that_goes_in_the_midst_of_its_handshake_leaves_nothing(run, caplog):
    async def test(served: Served) -> None:
        for sent in (b"", b"\x16\x03\x01"):
            _, writer = await served.connect(sent, tls=False)
            await served.until(lambda: served.open_now == 1)
            writer.transport.abort()
            await served.until(lambda: served.open_now == 0)

    assert run(test).closed == {}
    assert caplog.records == []


def test_hundreds_of_clients_without_a_handshake_never_hold_more_than_the_limit(run):
    async def test(served: Served) -> None:
        crowd = [await served.connect(tls=False) for _ in range(200)]
        reader, writer = await served.connect(ASKED)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        assert served.most_open <= LIMITS.connections
        for _, other in (*crowd, (reader, writer)):
            other.close()

    assert run(test).closed["shed"] >= 190


def test_a_client_that_does_not_confirm_the_end_holds_no_place(run):
    async def test(served: Served) -> None:
        _, writer = await served.connect(NONSENSE)
        writer.transport.pause_reading()  # reads no farewell, and sends none
        await served.until(lambda: served.closed["malformed"] == 1)
        await served.until(lambda: served.open_now == 0)
        writer.transport.abort()

    run(test)


def test_a_refusal_over_tls_is_read(run):
    async def test(served: Served) -> None:
        reader, writer = await served.connect(NONSENSE)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"urn:problem-type:wordcount:malformed" in answer
        assert b"strict-transport-security" in answer
        writer.close()

    assert run(test).closed == {"malformed": 1}


def test_an_answer_that_nobody_reads_is_given_up(run):
    async def test(served: Served) -> None:
        served.queries.counts = {f"{number:06}" + "x" * 16_000: 1 for number in range(1000)}
        _, writer = await served.connect(b"GET /v1/words?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writer.transport.pause_reading()
        await served.until(lambda: served.closed["unread"] == 1)
        await served.until(lambda: served.open_now == 0)
        writer.transport.abort()

    run(test)


def test_a_new_certificate_is_used_by_new_connections_and_open_ones_go_on(run):
    async def test(served: Served) -> None:
        assert await subject(served) == "one"
        reader, writer = await served.connect(ASKED)
        await reader.readuntil(b"\r\n\r\n")
        served.authority.write_signed(served.cert_file, "two", hosts=["127.0.0.1"])
        assert await subject(served) == "two"
        await reader.read(1000)
        writer.write(ASKED)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()

    run(test)


def test_a_bad_new_certificate_keeps_the_former_one_and_logs_one_line_without_a_key(run):
    async def test(served: Served) -> None:
        good = served.cert_file.read_text()
        other = served.authority.write_signed(served.cert_file.with_name("other"), "x", hosts=["127.0.0.1"])
        key = good[: good.index("-----BEGIN CERTIFICATE")]
        with capture_logs() as lines:
            served.cert_file.write_text(key + other.read_text().partition("-----END PRIVATE KEY-----\n")[2])
            assert [await subject(served) for _ in range(3)] == ["one"] * 3
            (line,) = lines
            served.cert_file.unlink()
            assert await subject(served) == "one"
            served.cert_file.write_text(good)
            assert await subject(served) == "one"
        assert line["log_level"] == "error"
        assert f'WORDCOUNT_HTTP_TLS_CERT_FILE "{served.cert_file}" cannot be used' in line["reason"]
        assert "MISMATCH" in line["reason"].upper()
        assert [line["log_level"] for line in lines] == ["error", "error", "info"]
        for secret in key.splitlines()[1:-1]:
            assert secret not in str(lines)

    run(test)


@pytest.mark.parametrize(
    "content", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"]
)
def test_files_that_are_no_certificate_are_refused_by_name(tmp_path, content):
    file = tmp_path / "server.pem"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        server_context(file, None)
    assert str(caught.value).startswith(f'WORDCOUNT_HTTP_TLS_CERT_FILE "{file}" cannot be used: ')
    assert str(caught.value).endswith("; name PEM files of a certificate and of its private key")


def test_another_key_an_encrypted_key_and_no_key_are_refused_by_name(tmp_path):
    authority = Authority()
    good = authority.write_signed(tmp_path / "good.pem", "x", hosts=["127.0.0.1"])
    other = authority.write_signed(tmp_path / "other.pem", "x", hosts=["127.0.0.1"])
    locked = authority.write_signed(tmp_path / "locked.pem", "x", hosts=["127.0.0.1"], password=b"secret")
    with pytest.raises(
        ConfigurationError, match=r'CERT_FILE ".*good.pem" with .*KEY_FILE ".*other.pem" .*(?i:mismatch)'
    ):
        server_context(good, other)
    with pytest.raises(
        ConfigurationError, match=r'locked.pem" cannot be used: the private key is encrypted; give a key'
    ):
        server_context(locked, None)
    with pytest.raises(ConfigurationError, match=r'KEY_FILE ".*none" cannot be used: .*No such file.*none'):
        server_context(good, tmp_path / "none")
    assert isinstance(server_context(good, good).present(), ssl.SSLContext)


def test_an_expired_certificate_is_served_because_its_clients_say_more_than_no_server(tmp_path):
    expired = Authority().write_signed(
        tmp_path / "old.pem", "x", hosts=["127.0.0.1"], valid_for=-timedelta(hours=1)
    )
    assert isinstance(server_context(expired, None).present(), ssl.SSLContext)
