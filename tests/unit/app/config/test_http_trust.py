"""Whom commands and workers trust over TLS, by a handshake in memory with a server that has a certificate."""

import ssl

import pytest

from app.config.http_trust import commands_trust, workers_trust
from app.config.settings import Settings
from tests.integration.certificates import Authority

HOST = "192.0.2.7"


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def files(tmp_path, authority):
    """A certificate that names `HOST`, another one of the same authority, and one of a foreign authority."""
    return {
        "own": authority.write_signed(tmp_path / "own.pem", "own", hosts=[HOST]),
        "other": authority.write_signed(tmp_path / "other.pem", "other", hosts=[HOST]),
        "foreign": Authority("foreign").write_signed(tmp_path / "foreign.pem", "own", hosts=[HOST]),
        "ca": authority.write_certificate(tmp_path / "ca.pem"),
    }


def trusts(context, cert_file, host):
    """Whether a client with this context ends a handshake with the server that it knows as `host`."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = context.wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_the_own_worker_is_trusted_by_its_certificate_alone_whatever_host_it_names(files):
    trust = commands_trust(Settings(http_tls_cert_file=files["own"], http_tls_ca_file=files["ca"]), own=True)
    assert trusts(trust, files["own"], "127.0.0.1")
    assert not trusts(trust, files["other"], HOST)
    assert not trusts(trust, files["foreign"], HOST)


def test_another_worker_is_trusted_by_authority_and_host(files):
    trust = commands_trust(Settings(http_tls_cert_file=files["own"], http_tls_ca_file=files["ca"]), own=False)
    assert trusts(trust, files["other"], HOST)
    assert not trusts(trust, files["own"], "127.0.0.1")
    assert not trusts(trust, files["foreign"], HOST)
    assert not trusts(commands_trust(Settings(), own=False), files["own"], HOST)


def test_workers_trust_the_authority_of_the_deployment_else_their_own_certificate(files):
    by_authority = workers_trust(Settings(http_tls_cert_file=files["own"], http_tls_ca_file=files["ca"]))
    by_own = workers_trust(Settings(http_tls_cert_file=files["own"]))
    for host in (HOST, "10.0.0.7"):
        assert trusts(by_authority, files["own"], host)
        assert trusts(by_authority, files["other"], host)
        assert trusts(by_own, files["own"], host)
        assert not trusts(by_own, files["other"], host)
        assert not trusts(by_authority, files["foreign"], host)
        assert not trusts(by_own, files["foreign"], host)
        assert not trusts(workers_trust(Settings()), files["own"], host)


@pytest.mark.parametrize("trust", [workers_trust, lambda settings: commands_trust(settings, own=True)])
def test_the_authority_behind_an_own_certificate_is_not_trusted_although_its_file_has_the_chain(files, trust):
    chain = files["own"].with_name("chain.pem")
    chain.write_text(files["own"].read_text() + files["ca"].read_text())
    context = trust(Settings(http_tls_cert_file=chain))
    assert trusts(context, chain, HOST)
    assert not trusts(context, files["other"], HOST)
