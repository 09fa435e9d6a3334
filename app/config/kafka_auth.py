"""Certificates, passwords and logins of every Kafka client, read again when their files change.

Certificates are renewed every few weeks, but a worker runs for months. If the changed files cannot be used together, for example
because a file of the change is still missing, the former certificates stay in use. A process that asks for credentials also gets the
connections of `tables.kafka.connections`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import structlog

from app.config.types import variable
from tables.errors import ConfigurationError
from tables.kafka import connections
from tables.kafka.connections import Password

if TYPE_CHECKING:
    import faust.auth
    from pydantic import SecretStr

    from app.config.settings import Settings

_log = structlog.get_logger(__name__)


def kafka_auth(settings: Settings) -> dict[str, object]:
    """Return keyword arguments for an aiokafka client: protocol, TLS context and SASL credentials.

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
        auth["sasl_plain_password"] = _password(settings, "sasl_password", settings.sasl_password)
    return auth


def faust_credentials(settings: Settings) -> faust.auth.Credentials | None:
    """Return TLS context and SASL credentials for Faust's consumer; None = no credentials.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
    """
    # Faust reads its settings and chooses its event loop when it is imported. Commands that only ask a broker must not import Faust.
    import faust

    context = ssl_context(settings)
    if settings.sasl_password is not None:
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=_password(settings, "sasl_password", settings.sasl_password),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


class RenewedContext(ssl.SSLContext):
    """A TLS context that opens each connection with the present content of certificate files.

    Args:
        make: makes a context from the files. Raises ConfigurationError.
        files: the files that `make` reads.
    """

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
        self._make = make
        self._files = files
        self._reading = Lock()
        self._stamps = self._present_stamps()
        self._context = make()

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Wrap memory buffers as `ssl.SSLContext` does, with the present files."""
        return self._present().wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap a socket as `ssl.SSLContext` does, with the present files."""
        return self._present().wrap_socket(*arguments, **options)

    def _present(self) -> ssl.SSLContext:
        with self._reading:
            stamps = self._present_stamps()
            if stamps != self._stamps:
                try:
                    # A new context, so that an authority which was removed from the file is no longer trusted.
                    self._context, self._stamps = self._make(), stamps
                except ConfigurationError as error:
                    _log.warning(
                        "certificates cannot be read again, the former certificates are used",
                        reason=str(error),
                    )
            return self._context

    def _present_stamps(self) -> Sequence[object]:
        return [_stamp(path) for path in self._files]


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """Return a TLS context that verifies the brokers' certificates and names; None if the protocol has no TLS.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    key_password = settings.ssl_key_password
    password = None if key_password is None else _password(settings, "ssl_key_password", key_password)
    secret = None if key_password is None else _secret_file(settings, "ssl_key_password", key_password)
    files = [settings.ssl_ca_file, settings.ssl_cert_file, settings.ssl_key_file, secret]
    return RenewedContext(
        lambda: _read_context(settings, password), [path for path in files if path is not None]
    )


def _read_context(settings: Settings, password: str | None) -> ssl.SSLContext:
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
        # OpenSSL calls this function for an encrypted key only; without it OpenSSL would ask on the terminal and wait for ever.
        if password is None:
            raise ConfigurationError("the private key is encrypted", "set WORDCOUNT_SSL_KEY_PASSWORD")
        return password.renewed() if isinstance(password, Password) else password

    try:
        context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file, key_password)
    except (OSError, ValueError) as unusable:
        raise ConfigurationError(
            f'WORDCOUNT_SSL_CERT_FILE "{settings.ssl_cert_file}" or its key cannot be used: {unusable}',
            "check that key, certificate and WORDCOUNT_SSL_KEY_PASSWORD belong together",
        ) from None
    return context


def _password(settings: Settings, name: str, secret: SecretStr) -> str:
    """Return the value of a secret setting; a `Password`, which is read again, if the value is from a file."""
    value = secret.get_secret_value()
    path = _secret_file(settings, name, secret)
    if path is None:
        return value
    password = Password(value)
    password.renewed = lambda: _read_secret(path) or value
    return password


def _secret_file(settings: Settings, name: str, secret: SecretStr) -> Path | None:
    """Return the file in the folder of secrets from which a setting was read; None if the value is from another source."""
    if settings.secrets_dir is None:
        return None
    paths = [path for path in settings.secrets_dir.iterdir() if path.name.upper() == variable(name)]
    return next((path for path in paths if _read_secret(path) == secret.get_secret_value()), None)


def _read_secret(path: Path) -> str:
    """Return the content of a secret file as `app.config.loading` reads it; "" if the file cannot be read at the moment."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
