"""Certificates and passwords are read again when their files change; a file that cannot be read leaves the former ones in use."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, cast

import pytest

from app.config.kafka_auth import faust_credentials, kafka_auth, ssl_context
from app.config.loading import load_settings
from tables.kafka.connections import Password
from tests.integration.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path


class Files:
    """A server's certificate, and the files of a client that trusts its authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file, self.client_file = folder / "ca.pem", folder / "client.pem"
        self.renew()

    def renew(self) -> None:
        self.authority = Authority()
        self.authority.write_certificate(self.ca_file)
        self.authority.write_signed(self.client_file, "client", password=b"secret")

    def shakes_hands(self, client: ssl.SSLContext, authority: Authority) -> bool:
        """Whether the client takes a server's certificate of `authority`."""
        server_file = authority.write_signed(self.folder / "server.pem", "server", hosts=["127.0.0.1"])
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(server_file)
        bios = [ssl.MemoryBIO() for _ in range(4)]
        ends = [
            client.wrap_bio(bios[0], bios[1], server_hostname="127.0.0.1"),
            server.wrap_bio(bios[2], bios[3], server_side=True),
        ]
        done = set()
        while len(done) < 2:
            for number, end in enumerate(ends):
                try:
                    end.do_handshake()
                    done.add(number)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    return False
            bios[2].write(bios[1].read())
            bios[0].write(bios[3].read())
        return True


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path)


def context_of(files: Files, **other: object) -> ssl.SSLContext:
    settings = load_settings(
        security_protocol="SSL", ssl_ca_file=files.ca_file, ssl_cert_file=files.client_file, **other
    )
    return cast("ssl.SSLContext", ssl_context(settings))


def test_a_new_authority_is_trusted_and_the_former_one_no_more(files: Files) -> None:
    context, former = context_of(files, ssl_key_password="secret"), files.authority
    assert files.shakes_hands(context, former)
    files.renew()
    assert files.shakes_hands(context, files.authority)
    assert not files.shakes_hands(context, former)


def test_half_a_change_is_waited_for(files: Files) -> None:
    context, former = context_of(files, ssl_key_password="secret"), files.authority
    files.client_file.write_text("half of a fi")
    assert files.shakes_hands(context, former)
    files.client_file.unlink()
    assert files.shakes_hands(context, former)
    files.renew()
    assert files.shakes_hands(context, files.authority)


def test_the_password_of_a_key_is_read_again_with_the_key(files: Files, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "wordcount_ssl_key_password").write_text("secret\n")
    context = context_of(files, secrets_dir=secrets)
    authority = Authority()
    authority.write_certificate(files.ca_file)
    authority.write_signed(files.client_file, "client", password=b"another")
    assert not files.shakes_hands(context, authority)  # The key cannot be read yet.
    (secrets / "wordcount_ssl_key_password").write_text("another\n")
    assert files.shakes_hands(context, authority)


def test_a_password_in_a_file_is_read_again_and_another_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "WORDCOUNT_SASL_PASSWORD"
    path.write_text("first\n")
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "me", "secrets_dir": tmp_path}
    settings = load_settings(**login)
    for password in (kafka_auth(settings)["sasl_plain_password"], faust_credentials(settings).password):
        assert isinstance(password, Password)
        assert (password, password.renewed()) == ("first", "first")
        path.write_text("second\n")
        assert password.renewed() == "second"
        path.unlink()
        assert password.renewed() == "first"
        path.write_text("first\n")
    given = load_settings(**login, sasl_password="given")
    assert not isinstance(kafka_auth(given)["sasl_plain_password"], Password)
