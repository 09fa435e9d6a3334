"""Proofs between workers: who asks and who answers show each other that they know the secret of the deployment.

A proof is an HMAC over the direction, the asker's nonce, and the body. The nonce binds an answer to its question, so that an old
answer proves nothing. A repeated question is answered again, which changes nothing. Without a secret every proof is accepted.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Literal

Direction = Literal["asker", "question", "answer"]

NONCE_BYTES = 16


def new_nonce() -> str:
    """Return a text that was never used before."""
    return secrets.token_hex(NONCE_BYTES)


class Proofs:
    """Makes and checks proofs.

    Args:
        secret: returns the secret of the deployment now, which may be rotated; "" = no secret, and nothing is checked.
    """

    def __init__(self, secret: Callable[[], str] = str) -> None:
        self._secret = secret

    def proof(self, direction: Direction, nonce: str, body: bytes) -> str:
        """Return the proof for `body`; "" without a secret."""
        secret = self._secret()
        return _proof(secret, direction, nonce, body) if secret else ""

    def holds(self, proof: str, direction: Direction, nonce: str, body: bytes) -> bool:
        """Return whether `proof` shows that the sender of `body` knows the secret."""
        secret = self._secret()
        if not secret:
            return True
        # A proof from outside may be any text, also one that is no UTF-8.
        given = proof.encode(errors="replace")
        return hmac.compare_digest(_proof(secret, direction, nonce, body).encode(), given)


def _proof(secret: str, direction: Direction, nonce: str, body: bytes) -> str:
    code = hmac.new(secret.encode(), f"wordcount/1\n{direction}\n{nonce}\n".encode(), hashlib.sha256)
    code.update(body)
    return code.hexdigest()
