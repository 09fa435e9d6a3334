"""Secrets and signatures of webhooks, as Standard Webhooks has them.

A secret is `whsec_` and the base64 of 24 to 64 bytes. The receiver computes HMAC-SHA256 of `<id>.<timestamp>.<body>` with these bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import Final

from tables.errors import ConfigurationError

PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64
_MOST_CHARACTERS: Final = 128


def read_secret(file: Path, watch: str) -> bytes:
    """Return the key of the secret in a file; blanks and line ends around it are left out.

    Args:
        file: the file.
        watch: name of a watch whose crossings are signed with it, for messages.

    Raises:
        ConfigurationError: the file cannot be read, or has no secret. The message never shows what the file has.
    """
    named = f'the secret_file "{file}" of watch "{watch}"'
    remedy = f'write one: (umask 077; echo "{PREFIX}$(openssl rand -base64 32)" > "{file}")'
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_CHARACTERS)
    except OSError as error:
        raise ConfigurationError(f"{named} cannot be read ({error.strerror or error})", remedy) from None
    text = content.decode("ascii", "replace").strip()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise ConfigurationError(
            f'{named} has no secret of the form "{PREFIX}" and base64 of {LEAST_BYTES} to {MOST_BYTES} bytes',
            remedy,
        )
    return key


def signed_headers(key: bytes, event_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the headers by which the receiver checks who sent `body`, and when."""
    signed = b"%s.%d.%s" % (event_id.encode(), timestamp_s, body)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
