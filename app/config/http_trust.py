"""Whose certificates are trusted over HTTP: by commands that ask a worker, and by workers that ask each other."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from tables.errors import ConfigurationError

if TYPE_CHECKING:
    from app.config.settings import Settings


def commands_trust(settings: Settings, *, own: bool) -> ssl.SSLContext:
    """Return a TLS context by which a command verifies a worker; `own` = the worker with these settings, on this machine.

    The certificate of that worker is known from its file. So exactly this certificate is trusted, whoever signed it and whatever host
    it names: nobody else has its key, and it hardly names 127.0.0.1.

    Raises:
        ConfigurationError: a file of certificates cannot be used.
    """
    if own and settings.http_tls_cert_file is not None:
        return _exactly(settings.http_tls_cert_file)
    return _authorities(settings.http_tls_ca_file)


def workers_trust(settings: Settings) -> ssl.SSLContext:
    """Return a TLS context by which a worker verifies the other workers of its deployment.

    The authorities of `WORDCOUNT_HTTP_TLS_CA_FILE` are trusted, else exactly the certificate that this worker shows itself. Host names
    are not compared, because workers ask each other by addresses, which few certificates name; the secret of the deployment proves who
    answers.

    Raises:
        ConfigurationError: a file of certificates cannot be used.
    """
    if settings.http_tls_ca_file is None and settings.http_tls_cert_file is not None:
        return _exactly(settings.http_tls_cert_file)
    context = _authorities(settings.http_tls_ca_file)
    context.check_hostname = settings.http_tls_ca_file is None
    return context


def _authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Trust the authorities of a file; None = those of the system."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as unusable:
        raise _unusable("WORDCOUNT_HTTP_TLS_CA_FILE", ca_file, unusable) from None


def _exactly(cert_file: Path) -> ssl.SSLContext:
    """Trust the first certificate of a file, that of the server itself, and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        first = re.search(
            r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", cert_file.read_text(), re.DOTALL
        )
        context.load_verify_locations(cadata=first[0] if first else "")
    except (OSError, ValueError) as unusable:
        raise _unusable("WORDCOUNT_HTTP_TLS_CERT_FILE", cert_file, unusable) from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context


def _unusable(name: str, file: Path | None, reason: Exception) -> ConfigurationError:
    return ConfigurationError(
        f'{name} "{file}" holds no usable certificate: {reason}', "name a PEM file of certificates"
    )
