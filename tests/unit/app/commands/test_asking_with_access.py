"""Commands that ask a worker with tokens, a rate limit and TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from agents.source.group_map import Card
from app.config.loading import load_settings
from app.kafka import group_members
from app.kafka.group_members import GroupMember
from app.operate.worker_client import worker_address, worker_url
from app.web.access import options
from app.web.access.options import Access
from app.web.access.rate_limit import RateLimit
from app.web.access.tokens import read_tokens
from app.web.asgi import create_asgi_app
from app.worker.metrics import Metrics
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries
from tests.integration.certificates import Authority
from tests.unit.app.web.access.conftest import READER, WRITER


@contextmanager
def served(access: Access, cert_file: Path | None = None) -> Iterator[int]:
    """The port of a worker's own HTTP application with these restrictions."""
    listener = socket.create_server(("127.0.0.1", 0))
    asgi_app = create_asgi_app(FakeQueries(), FakeHealth(), Metrics().registry, VERSION, access=access)
    config = uvicorn.Config(asgi_app, log_level="critical", lifespan="off", ssl_certfile=cert_file)
    server = uvicorn.Server(config)
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        serving.join()
        listener.close()


@pytest.fixture
def ask(wordcount: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command with some settings."""

    def run(*arguments: str, **settings: object) -> Any:
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(f"WORDCOUNT_{name.upper()}", str(value))
            return wordcount(*arguments)

    return run


@pytest.fixture
def tokens(tmp_path: Path) -> Access:
    file = tmp_path / "tokens"
    file.write_text(f"reader read {READER}\nwriter ingest {WRITER}\n")
    found = read_tokens(file)
    return Access(lambda: found)


def test_a_token_of_a_variable_or_of_a_secret_file_lets_commands_ask(ask, tokens, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "WORDCOUNT_TOKEN").write_text(READER + "\n")
    with served(tokens) as port:
        for settings in ({"token": READER}, {"secrets_dir": secrets}):
            assert ask("get", "fox", http_port=port, **settings).out.startswith("fox: 2\n")
            assert ask("top", "--url", f"http://127.0.0.1:{port}", **settings).code == 0
            doctor = ask("doctor", http_port=port, bootstrap_servers="127.0.0.1:1", **settings).out
            assert f"ok   HTTP port: a worker of version 1.2.3 answers at 127.0.0.1:{port}" in doctor


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, 'this request needs a token with scope "read"'),
        ({"token": READER + "x"}, 'the token is not known; this request needs one with scope "read"'),
        ({"token": WRITER}, 'this request needs a token with scope "read", which the token does not have'),
    ],
)
def test_without_the_right_token_one_line_says_which_is_needed(ask, tokens, settings, said):
    with served(tokens) as port:
        outcome = ask("top", http_port=port, **settings)
        doctor = ask("doctor", http_port=port, bootstrap_servers="127.0.0.1:1", **settings).out
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert said in outcome.err
    assert outcome.err.endswith("set WORDCOUNT_TOKEN to a token that the worker knows\n")
    assert said in doctor
    for token in (READER, WRITER):
        assert token not in outcome.err + doctor


def test_a_client_above_its_rate_is_told_when_to_ask_again(ask, monkeypatch):
    monkeypatch.setattr(options, "RateLimit", partial(RateLimit, clock=lambda: 0.0))
    with served(Access(requests_per_s=1)) as port:
        outcomes = [ask("get", "fox", http_port=port) for _ in range(3)]
    assert [outcome.code for outcome in outcomes] == [0, 0, 1]
    assert outcomes[2].err.endswith("ask again in 1 s\n")


def test_the_token_is_not_shown(ask):
    assert "WORDCOUNT_TOKEN=***\n" in ask("config", "show", token=READER).out
    assert READER not in repr(worker_address(load_settings(token=READER)))


@pytest.fixture
def authority() -> Authority:
    return Authority()


def test_the_worker_of_these_settings_is_known_by_its_certificate_whatever_that_names(
    ask, authority, tmp_path
):
    cert_file = authority.write_signed(tmp_path / "server.pem", "x", hosts=["192.0.2.1"])
    with served(Access(), cert_file) as port:
        assert ask("get", "fox", http_port=port, http_tls_cert_file=cert_file).code == 0
        other = authority.write_signed(tmp_path / "other.pem", "x", hosts=["127.0.0.1"])
        refused = ask("get", "fox", http_port=port, http_tls_cert_file=other)
    assert refused.code == 2
    assert f"the certificate of what listens at https://127.0.0.1:{port} is not trusted" in refused.err


def test_another_worker_is_known_by_its_authority_and_name(ask, authority, tmp_path):
    ca_file = authority.write_certificate(tmp_path / "ca.pem")
    cert_file = authority.write_signed(tmp_path / "server.pem", "x", hosts=["127.0.0.1"])
    wrong_name = authority.write_signed(tmp_path / "wrong.pem", "x", hosts=["192.0.2.1"])
    with served(Access(), cert_file) as port, served(Access(), wrong_name) as other_port:
        url, other_url = f"https://127.0.0.1:{port}", f"https://127.0.0.1:{other_port}"
        assert ask("get", "fox", "--url", url, http_tls_ca_file=ca_file).code == 0
        # Its own certificate says nothing about another worker.
        for settings in ({}, {"http_tls_cert_file": cert_file}):
            refused = ask("get", "fox", "--url", url, **settings)
            assert (refused.code, refused.out) == (2, "")
            assert "is not trusted (" in refused.err
            assert "WORDCOUNT_HTTP_TLS_CA_FILE" in refused.err
        refused = ask("get", "fox", "--url", other_url, http_tls_ca_file=ca_file)
        assert (refused.code, "mismatch" in refused.err) == (2, True)


def test_workers_of_the_group_are_trusted_as_they_trust_each_other(ask, authority, tmp_path, monkeypatch):
    ca_file = authority.write_certificate(tmp_path / "ca.pem")
    # The certificate names another host: workers advertise addresses, which few certificates name.
    cert_file = authority.write_signed(tmp_path / "server.pem", "x", hosts=["192.0.2.1"])

    async def find(_):
        return [GroupMember("wordcount at x", Card(url))]

    monkeypatch.setattr(group_members, "find_members", find)
    with served(Access(), cert_file) as port:
        url = f"https://127.0.0.1:{port}"
        assert ask("get", "fox", http_tls_ca_file=ca_file).code == 0
        assert ask("get", "fox", http_tls_cert_file=cert_file).code == 0
        refused = ask("get", "fox")
        assert (refused.code, "is not trusted (" in refused.err) == (2, True)
        url = "https://127.0.0.1:x"
        refused = ask("get", "fox")
        assert (refused.code, '"https://127.0.0.1:x" is not an address' in refused.err) == (2, True)


def test_tls_and_no_tls_are_told_apart(ask, authority, tmp_path):
    cert_file = authority.write_signed(tmp_path / "server.pem", "x", hosts=["127.0.0.1"])
    with served(Access()) as port, served(Access(), cert_file) as tls_port:
        no_tls = ask("get", "fox", "--url", f"https://127.0.0.1:{port}")
        tls = ask("get", "fox", "--url", f"http://127.0.0.1:{tls_port}")
    assert (no_tls.code, "does not speak TLS" in no_tls.err) == (2, True)
    assert (tls.code, "with https:// if it has TLS" in tls.err) == (1, True)


@pytest.mark.parametrize("name", ["http_tls_cert_file", "http_tls_ca_file"])
@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff"])
def test_a_file_without_a_certificate_is_named(ask, tmp_path, name, content):
    file = tmp_path / "file.pem"
    file.write_bytes(content)
    outcome = ask("top", **{name: file})
    assert outcome.code == 2
    assert f'WORDCOUNT_{name.upper()} "{file}" holds no usable certificate: ' in outcome.err


def test_the_address_of_a_worker_with_tls_begins_with_https(authority, tmp_path):
    cert_file = authority.write_signed(tmp_path / "server.pem", "x", hosts=["127.0.0.1"])
    settings = load_settings(http_tls_cert_file=cert_file, http_port=80)
    assert worker_url(settings) == "https://127.0.0.1:80"
    assert worker_address(settings).tls.verify_mode == ssl.CERT_REQUIRED
