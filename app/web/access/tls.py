"""The certificate of the HTTP server: a TLS context made from files, and made again when they change."""

from __future__ import annotations

import ssl
from pathlib import Path

from app.web.access.renewed import Renewed
from tables.errors import ConfigurationError


def server_context(cert_file: Path, key_file: Path | None) -> Renewed[ssl.SSLContext]:
    """Return the context of a server, which follows its files.

    A change makes a new context instead of changing the one in use, so that no handshake meets a new certificate with the former key.

    Args:
        cert_file: PEM file of the certificate and its chain.
        key_file: PEM file of the private key; None = the key is in `cert_file`.

    Raises:
        ConfigurationError: the files cannot be used; the error names them and the reason.
    """
    files = [cert_file, *([] if key_file is None else [key_file])]
    return Renewed(lambda: _context(cert_file, key_file), files)


def _context(cert_file: Path, key_file: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client of TLS 1.2 could ask for one handshake after the other on one connection.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])

    def no_password() -> str:
        # Without this function OpenSSL would ask on the terminal, and wait for ever.
        raise ConfigurationError("the private key is encrypted", "give a key without a password")

    named = f'WORDCOUNT_HTTP_TLS_CERT_FILE "{cert_file}"'
    if key_file is not None:
        named += f' with WORDCOUNT_HTTP_TLS_KEY_FILE "{key_file}"'
    try:
        for file in (cert_file, key_file or cert_file):
            file.open("rb").close()  # OpenSSL's error does not say which of the files cannot be read.
        context.load_cert_chain(cert_file, key_file, no_password)
    except ConfigurationError as encrypted:
        raise ConfigurationError(f"{named} cannot be used: {encrypted.message}", encrypted.remedy) from None
    except (OSError, ValueError) as unusable:
        raise ConfigurationError(
            f"{named} cannot be used: {unusable}", "name PEM files of a certificate and of its private key"
        ) from None
    return context
