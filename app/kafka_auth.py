"""Credentials of every aiokafka client: consumer, producer and admin. Whoever asks for them gets our connections too."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from tables import connections
from tables.errors import ConfigurationError

if TYPE_CHECKING:
    import faust.auth

    from app.settings import Settings


def kafka_auth(settings: Settings) -> dict[str, object]:
    """Keyword arguments for an aiokafka client: protocol, TLS context and SASL credentials.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
    """
    connections.install()
    auth: dict[str, object] = {
        "security_protocol": settings.security_protocol,
        "ssl_context": ssl_context(settings),
    }
    if settings.sasl_password is not None:
        auth["sasl_mechanism"] = settings.sasl_mechanism
        auth["sasl_plain_username"] = settings.sasl_username
        auth["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return auth


def faust_credentials(settings: Settings) -> faust.auth.Credentials | None:
    """The same for Faust's consumer; None = no credentials.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
    """
    # Faust reads its settings, and chooses its event loop, when it is imported: not for every command that asks a broker.
    import faust

    context = ssl_context(settings)
    if settings.sasl_password is not None:
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS context that verifies the brokers' certificates and names; None where the protocol has no TLS.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
    except (OSError, ValueError) as unusable:
        raise ConfigurationError(
            f'WORDCOUNT_SSL_CA_FILE "{settings.ssl_ca_file}" holds no usable certificate: {unusable}',
            "name a PEM file of certificates",
        ) from None
    if settings.ssl_cert_file is None:
        return context

    def key_password() -> str:
        # Called for an encrypted key only; without it OpenSSL would ask on the terminal and wait for ever.
        if settings.ssl_key_password is None:
            raise ConfigurationError("the private key is encrypted", "set WORDCOUNT_SSL_KEY_PASSWORD")
        return settings.ssl_key_password.get_secret_value()

    try:
        context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file, key_password)
    except (OSError, ValueError) as unusable:
        raise ConfigurationError(
            f'WORDCOUNT_SSL_CERT_FILE "{settings.ssl_cert_file}" or its key cannot be used: {unusable}',
            "check that key, certificate and WORDCOUNT_SSL_KEY_PASSWORD belong together",
        ) from None
    return context
