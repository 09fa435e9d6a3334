"""Refused TLS handshakes and logins: why a broker refuses this client.

aiokafka's refusals are explained. If there is no refusal to explain, a handshake with the broker is tried step by step. The cause is
always the configuration, so starting again does not help. A broker that does not answer is not a subject of this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from aiokafka.errors import SaslAuthenticationFailed, UnsupportedSaslMechanismError

from app.config.kafka_auth import ssl_context
from tables.errors import ConfigurationError
from tables.kafka.connections import LOGIN_PAUSE_S, Refusal, refusals

if TYPE_CHECKING:
    from app.config.settings import Settings

STEP_TIMEOUT_S: Final = 3.0
"""Longest wait, in seconds, for one answer of a broker."""

NOW_S: Final = 2 * LOGIN_PAUSE_S[1]
"""Seconds for which a refusal counts as present: a refused login is tried again within this time.

An older refusal is of a broker that is no longer asked.
"""

_ALERT_S: Final = 0.5
"""Seconds to wait after a TLS handshake: with TLS 1.3 a broker refuses a client's certificate only after the handshake."""

_API_VERSIONS: Final = struct.pack(">hhih", 18, 0, 1, -1)
_SASL_HANDSHAKE: Final = struct.pack(">hhihh4s", 17, 1, 2, -1, 4, b"NONE")
_UNSUPPORTED_MECHANISM: Final = 33
_LONGEST_ANSWER: Final = 1 << 20
_PROTOCOL: Final = "set WORDCOUNT_SECURITY_PROTOCOL to the protocol of that listener"
_UNKNOWN_AUTHORITY: Final = {2, 18, 19, 20, 21}
_EXPIRED: Final = 10
_NOT_YET: Final = 9
_OTHER_NAME: Final = {62, 64}


async def refusal(settings: Settings, since_s: float) -> ConfigurationError | None:
    """Return the error that says why the brokers refuse this process; None if there is another reason for a failed connection.

    Args:
        settings: say where and how to connect.
        since_s: time on the monotonic clock at which this process began to connect.
    """
    servers = [_address(server) for server in settings.bootstrap_servers.split(",")]
    for refused in refusals():
        # An older refusal counts for a bootstrap server, too: during the pause after a refused login there was no new attempt.
        if refused.at_s >= since_s or ((refused.host, refused.port) in servers and refused.pause_s):
            return explained(settings, refused)
    for host, port in servers:
        with contextlib.suppress(OSError):
            if error := await asyncio.to_thread(_tried, settings, host, port):
                return error
    return None


def latest(settings: Settings) -> ConfigurationError | None:
    """Return the error for the latest refusal by any broker; None if there was no refusal within the last `NOW_S` seconds."""
    found = max(refusals(), key=lambda refused: refused.at_s, default=None)
    is_now = found is not None and monotonic() - found.at_s < NOW_S
    return explained(settings, found) if found is not None and is_now else None


def explained(settings: Settings, refused: Refusal) -> ConfigurationError:
    """Return the error that explains a refusal to the operator."""
    where = f"broker {refused.host}:{refused.port}"
    match refused.error:
        case SaslAuthenticationFailed():
            return ConfigurationError(
                f'{where} refuses the login of user "{settings.sasl_username}" by {settings.sasl_mechanism} ({refused.error})',
                "set WORDCOUNT_SASL_USERNAME, WORDCOUNT_SASL_PASSWORD and WORDCOUNT_SASL_MECHANISM to values that the broker accepts",
            )
        case UnsupportedSaslMechanismError():
            return ConfigurationError(
                f"{where} does not offer SASL mechanism {settings.sasl_mechanism}, but {', '.join(sorted(refused.offered))}",
                "set WORDCOUNT_SASL_MECHANISM to one of them",
            )
        case ssl.SSLCertVerificationError() as error:
            return _untrusted(settings, where, refused.host, error)
        case ssl.SSLError() as error:
            return _tls_error(settings, where, error)
        case _:
            return ConfigurationError(f"{where} has no logins at that port", _PROTOCOL)


def _untrusted(
    settings: Settings, where: str, host: str, error: ssl.SSLCertVerificationError
) -> ConfigurationError:
    code, said = error.verify_code, error.verify_message
    if code in _OTHER_NAME:
        return ConfigurationError(
            f'the certificate of {where} is not for the name "{host}"',
            "use an address that the certificate has, in WORDCOUNT_BOOTSTRAP_SERVERS and in the brokers' advertised.listeners",
        )
    if code in {_EXPIRED, _NOT_YET}:
        return ConfigurationError(
            f"the certificate of {where} {'has expired' if code == _EXPIRED else 'is not valid yet'}",
            "renew the broker's certificate, or set the clock of this machine",
        )
    if code in _UNKNOWN_AUTHORITY:
        trusted = (
            "the system"
            if settings.ssl_ca_file is None
            else f'WORDCOUNT_SSL_CA_FILE "{settings.ssl_ca_file}"'
        )
        return ConfigurationError(
            f"the certificate of {where} is signed by an authority that {trusted} does not have ({said})",
            "set WORDCOUNT_SSL_CA_FILE to the PEM file of the authority that signs the brokers' certificates",
        )
    return ConfigurationError(
        f"the certificate of {where} cannot be trusted ({said})", "renew the broker's certificate"
    )


def _tls_error(settings: Settings, where: str, error: ssl.SSLError) -> ConfigurationError:
    reason = error.reason or str(error)
    if "ALERT" in reason:
        if settings.ssl_cert_file is None:
            return ConfigurationError(
                f"{where} wants a client's certificate ({reason})",
                "set WORDCOUNT_SSL_CERT_FILE and WORDCOUNT_SSL_KEY_FILE",
            )
        return ConfigurationError(
            f'{where} does not take the certificate in WORDCOUNT_SSL_CERT_FILE "{settings.ssl_cert_file}" ({reason})',
            "name a certificate that has not expired, of an authority that the broker trusts",
        )
    return ConfigurationError(f"no TLS connection to {where} can be made ({reason})", _PROTOCOL)


def _tried(settings: Settings, host: str, port: int) -> ConfigurationError | None:
    """Try a handshake step by step; return the error of the first step that the broker refuses, None if it refuses none.

    Raises:
        OSError: the broker does not answer, or the failed step does not show the cause.
    """
    where, protocol = f"broker {host}:{port}", settings.security_protocol
    context = ssl_context(settings)
    with socket.create_connection((host, port), STEP_TIMEOUT_S) as raw:
        if context is None:
            return _tried_plainly(raw, where, protocol, host, port)
        try:
            stream = context.wrap_socket(raw, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            return _untrusted(settings, where, host, error)
        except OSError as error:
            if _speaks_plainly(host, port):
                return ConfigurationError(
                    f"{where} has no TLS at that port, but WORDCOUNT_SECURITY_PROTOCOL is {protocol}",
                    _PROTOCOL,
                )
            if isinstance(error, ssl.SSLError):
                return _tls_error(settings, where, error)
            raise
        with stream:
            try:
                stream.settimeout(_ALERT_S)
                with contextlib.suppress(TimeoutError):
                    stream.recv(1)
                stream.settimeout(STEP_TIMEOUT_S)
                return _wants_login(stream, where, protocol)
            except ssl.SSLError as error:
                return _tls_error(settings, where, error)


def _tried_plainly(
    raw: socket.socket, where: str, protocol: str, host: str, port: int
) -> ConfigurationError | None:
    try:
        return _wants_login(raw, where, protocol)
    except OSError:
        if _speaks_tls(host, port):
            return ConfigurationError(
                f"{where} has TLS at that port, but WORDCOUNT_SECURITY_PROTOCOL is {protocol}", _PROTOCOL
            )
        raise


def _wants_login(stream: socket.socket, where: str, protocol: str) -> ConfigurationError | None:
    """Return the error for a listener that wants a login although the protocol has none; None = all is well.

    Raises:
        OSError: the broker does not answer.
    """
    _answer(stream, _API_VERSIONS)
    if protocol.startswith("SASL"):
        return None
    answer = _answer(stream, _SASL_HANDSHAKE)
    error_code, count = struct.unpack_from(">hi", answer, 4)
    if error_code != _UNSUPPORTED_MECHANISM:
        return None
    return ConfigurationError(
        f"{where} wants a login by {', '.join(sorted(_texts(answer[10:], count)))}, but WORDCOUNT_SECURITY_PROTOCOL is {protocol}",
        f"{_PROTOCOL}, with WORDCOUNT_SASL_USERNAME and WORDCOUNT_SASL_PASSWORD",
    )


def _texts(body: bytes, count: int) -> Sequence[str]:
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from(">h", body)
        found.append(body[2 : 2 + length].decode())
        body = body[2 + length :]
    return found


def _answer(stream: socket.socket, request: bytes) -> bytes:
    """Send a request and return the answer. Raise OSError if there is no answer, or the answer is not of a Kafka broker."""
    stream.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", _read(stream, 4))
    if not 4 <= length <= _LONGEST_ANSWER:
        raise ConnectionError("no answer of Kafka")
    answer = _read(stream, length)
    if answer[:4] != request[4:8]:
        raise ConnectionError("no answer of Kafka")
    return answer


def _read(stream: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        part = stream.recv(length - len(found))
        if not part:
            raise ConnectionResetError("closed")
        found += part
    return found


def _speaks_plainly(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), STEP_TIMEOUT_S) as raw:
            _answer(raw, _API_VERSIONS)
    except OSError:
        return False
    return True


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # No data is sent: the only question is whether the listener speaks TLS, not who the broker is.
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), STEP_TIMEOUT_S) as raw, context.wrap_socket(raw):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _address(server: str) -> tuple[str, int]:
    host, _, port = server.strip().rpartition(":")
    return host.strip("[]"), int(port)
