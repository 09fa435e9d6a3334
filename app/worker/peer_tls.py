"""TLS of questions to other workers: which certificates are believed."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.web.access.renewed import Renewed
from tables.errors import ConfigurationError

if TYPE_CHECKING:
    from app.config.settings import Settings


def peer_tls(settings: Settings) -> Callable[[], ssl.SSLContext | bool]:
    """Return a function that returns the TLS context for questions to other workers; True = the authorities of the system.

    A worker believes the authorities in `WORDCOUNT_HTTP_TLS_CA_FILE`, or else its own certificate, which may be that of all workers.
    Names are not compared, because workers are asked by address; `WORDCOUNT_PEER_SECRET` shows who answers. The file is read again
    when it changes.

    Raises:
        ConfigurationError: the file cannot be used; the error names the setting.
    """
    name, file = "WORDCOUNT_HTTP_TLS_CA_FILE", settings.http_tls_ca_file
    if file is None:
        name, file = "WORDCOUNT_HTTP_TLS_CERT_FILE", settings.http_tls_cert_file
    if file is None:
        return lambda: True
    trusted = file
    return Renewed(lambda: _context(name, trusted), [trusted]).present


def _context(name: str, file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    # The certificate of a worker may be trusted by itself, without its authority.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(file)
    except (OSError, ValueError) as unusable:
        raise ConfigurationError(
            f'{name} "{file}" cannot be used: {unusable}', "name a PEM file of certificates"
        ) from None
    return context
