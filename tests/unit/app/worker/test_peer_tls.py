"""TLS between workers: whose certificate is believed."""

import asyncio
import ssl
from pathlib import Path

import pytest

from app.config.settings import Settings
from app.web.access.tls import server_context
from app.worker.peer_tls import peer_tls
from tables.errors import ConfigurationError
from tests.integration.certificates import Authority


def test_without_files_the_authorities_of_the_system_are_believed() -> None:
    assert peer_tls(Settings())() is True


@pytest.mark.parametrize("name", ["http_tls_ca_file", "http_tls_cert_file"])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigurationError, match=f'WORDCOUNT_{name.upper()} ".*ca.pem" cannot be used'):
        peer_tls(Settings(**{name: file}))


@pytest.mark.parametrize("trusted", ["authority", "itself", "another"])
async def test_a_worker_is_believed_by_its_certificate_whatever_its_name(
    tmp_path: Path, trusted: str
) -> None:
    authority = Authority()
    own = authority.write_signed(tmp_path / "own.pem", "some-worker", hosts=["192.0.2.7"])
    files = {
        "authority": {"http_tls_ca_file": authority.write_certificate(tmp_path / "ca.pem")},
        "itself": {"http_tls_cert_file": own},
        "another": {"http_tls_ca_file": Authority("another").write_certificate(tmp_path / "other.pem")},
    }
    served = server_context(own, None).present()
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=served)
    async with server:
        port = server.sockets[0].getsockname()[1]
        context = peer_tls(Settings(**files[trusted]))()
        asking = asyncio.open_connection("127.0.0.1", port, ssl=context)
        if trusted == "another":
            with pytest.raises(ssl.SSLCertVerificationError):
                await asking
        else:
            _, writer = await asking
            writer.close()
