"""Rules between settings: refuses values that are valid alone but cannot work together."""

from __future__ import annotations

import re
from pathlib import Path

from agents.text.choices import RECORD_TIME
from app.config.settings import Settings
from app.config.types import variable
from app.config.windows import windows_of
from tables.errors import ConfigurationError

_LONGEST_TOPIC_NAME = 249
_SHORTEST_SECRET = 16


def check_values(settings: Settings) -> None:
    """Check that the settings about counting fit together.

    Raises:
        ConfigurationError: two settings contradict each other; the message names both.
    """
    if (excess := len(settings.topics.dead_letters) - _LONGEST_TOPIC_NAME) > 0:
        raise ConfigurationError(
            "WORDCOUNT_GROUP and WORDCOUNT_TOPIC are too long together: topics are named after both",
            f"shorten both together by {excess} characters",
        )
    if settings.flush_interval_ms * 2 > settings.session_timeout_ms:
        raise ConfigurationError(
            f"WORDCOUNT_FLUSH_INTERVAL_MS is {settings.flush_interval_ms}, more than half of "
            f"WORDCOUNT_SESSION_TIMEOUT_MS ({settings.session_timeout_ms})",
            "flush more often: only a flush shows a worker that its partitions have moved to another worker",
        )
    if settings.compaction_lag_ms < settings.session_timeout_ms:
        raise ConfigurationError(
            f"WORDCOUNT_COMPACTION_LAG_MS is {settings.compaction_lag_ms}, below "
            f"WORDCOUNT_SESSION_TIMEOUT_MS ({settings.session_timeout_ms})",
            "raise WORDCOUNT_COMPACTION_LAG_MS: the changelog must not be compacted while a partition may be without an owner",
        )
    if settings.max_word_length is not None and settings.max_word_length < settings.min_word_length:
        raise ConfigurationError(
            f"WORDCOUNT_MAX_WORD_LENGTH is {settings.max_word_length}, below WORDCOUNT_MIN_WORD_LENGTH "
            f"({settings.min_word_length})",
            "raise the maximum or lower the minimum: no word could be counted",
        )
    if (secret := settings.peer_secret) is not None and len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise ConfigurationError(
            "WORDCOUNT_PEER_SECRET is too short", f"set at least {_SHORTEST_SECRET} random characters"
        )
    if settings.json_pointer and settings.value_format != "json":
        raise ConfigurationError(
            f'WORDCOUNT_JSON_POINTER is "{settings.json_pointer}" but WORDCOUNT_VALUE_FORMAT is '
            f'"{settings.value_format}"',
            "set WORDCOUNT_VALUE_FORMAT=json, or remove the pointer",
        )
    if settings.timestamp != RECORD_TIME and settings.value_format != "json":
        raise ConfigurationError(
            f'WORDCOUNT_TIMESTAMP is the pointer "{settings.timestamp}" but WORDCOUNT_VALUE_FORMAT is '
            f'"{settings.value_format}"',
            "set WORDCOUNT_VALUE_FORMAT=json, or WORDCOUNT_TIMESTAMP=record",
        )
    windows_of(settings)


def check_security(settings: Settings) -> None:
    """Check that all settings that the security protocol needs are given, and none that the protocol would not use.

    Raises:
        ConfigurationError: a setting is missing, useless or not a file; the error names the setting.
    """
    protocol = settings.security_protocol
    credentials = {name: getattr(settings, name) for name in ("sasl_username", "sasl_password")}
    files = {name: getattr(settings, name) for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file")}
    for name, value in credentials.items():
        if protocol.startswith("SASL") and not value:
            raise ConfigurationError(
                f"WORDCOUNT_SECURITY_PROTOCOL is {protocol}, which needs a user and a password",
                f"set {variable(name)}",
            )
    for name, value in {**credentials, **files, "ssl_key_password": settings.ssl_key_password}.items():
        layer = "SASL" if name in credentials else "SSL"
        if value is not None and layer not in protocol:
            raise ConfigurationError(
                f"{variable(name)} is set but WORDCOUNT_SECURITY_PROTOCOL is {protocol}",
                f"set a protocol with {layer}, or remove {variable(name)}",
            )
    for name, path in files.items():
        if isinstance(path, Path) and not path.is_file():
            raise ConfigurationError(
                f'{variable(name)} is "{path}", which is not a file', "name an existing PEM file"
            )
    if settings.ssl_cert_file is None and (settings.ssl_key_file or settings.ssl_key_password):
        raise ConfigurationError("a private key is set without a certificate", "set WORDCOUNT_SSL_CERT_FILE")


def check_access(settings: Settings, *, with_peers: bool = True) -> None:
    """Check that the settings about access to HTTP fit together.

    Args:
        settings: the settings.
        with_peers: whether other workers may ask this process, so that tokens need a secret of the workers.

    Raises:
        ConfigurationError: a setting is useless, not a file or not a token; the error names the setting, and no secret.
    """
    for name in ("http_tls_cert_file", "http_tls_key_file", "http_tls_ca_file", "tokens_file"):
        path = getattr(settings, name)
        if isinstance(path, Path) and not path.is_file():
            raise ConfigurationError(
                f'{variable(name)} is "{path}", which is not a file',
                "name an existing file of tokens" if name == "tokens_file" else "name an existing PEM file",
            )
    if settings.watches is not None and not settings.watches.is_file():
        raise ConfigurationError(
            f'WORDCOUNT_WATCHES is "{settings.watches}", which is not a file',
            "name an existing file of watches",
        )
    if settings.http_tls_key_file is not None and settings.http_tls_cert_file is None:
        raise ConfigurationError(
            "WORDCOUNT_HTTP_TLS_KEY_FILE is set without a certificate", "set WORDCOUNT_HTTP_TLS_CERT_FILE"
        )
    if with_peers and settings.tokens_file is not None and settings.peer_secret is None:
        raise ConfigurationError(
            "WORDCOUNT_TOKENS_FILE is set without WORDCOUNT_PEER_SECRET: who asks as a worker does needs no token",
            "set WORDCOUNT_PEER_SECRET to the same 16 or more random characters in all workers",
        )
    if settings.token is not None and not re.fullmatch(r"[!-~]+", settings.token.get_secret_value()):
        raise ConfigurationError(
            "WORDCOUNT_TOKEN has characters that no token has", "give the token alone, without blanks"
        )
