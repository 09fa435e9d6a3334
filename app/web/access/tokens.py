"""Tokens of clients: the file that lists them, and the search for the client that sent one.

A line of the file is `<name> <scope>[,<scope>] <token>`, separated by blanks. Lines that are empty or begin with `#` are left out.
Each entry has a line of its own, so that a message can name the place of a mistake without any part of a secret, and a file is
written with `echo`. Instead of a token a line may have `sha256:` and the token's SHA-256 in hexadecimal, so that a reader of the file
cannot use it. One name may have several tokens: a client gets its new token before its former one is removed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.config.small_file import small_content
from app.web.access.scopes import SCOPES, Scope
from tables.errors import ConfigurationError

LEAST_CHARACTERS: Final = 16
MOST_CHARACTERS: Final = 512
MOST_TOKENS: Final = 100
"""A request is compared with every token: a tenth of a microsecond for each."""

MOST_BYTES: Final = 131_072
HASHED: Final = "sha256:"

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # token68 of RFC 9110: what a client can send behind "Bearer".
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REMEDY = "write <name> <scope>[,<scope>] <token> on each line"


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a token belongs to, and what it allows."""

    name: str
    scopes: frozenset[Scope]


class Tokens:
    """The tokens of all clients, as hashes.

    Args:
        entries: SHA-256 of each token, and its client.
    """

    def __init__(self, entries: Sequence[tuple[bytes, Client]]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def client_of(self, token: bytes) -> Client | None:
        """Return the client whose token this is, or None.

        The duration tells nothing about the tokens: hashes are compared in constant time, and always all of them.
        """
        hashed = hashlib.sha256(token).digest()
        found = None
        for known, client in self._entries:
            if hmac.compare_digest(known, hashed):
                found = client
        return found


def read_tokens(file: Path) -> Tokens:
    """Read the tokens of a file.

    Raises:
        ConfigurationError: the file cannot be read, has no token, or has a line that is no entry. The message names file and line,
            and never shows what the line has, because a token may be anywhere in a line that is wrong.
    """
    named = f'WORDCOUNT_TOKENS_FILE "{file}"'
    content = small_content(file, named, MOST_BYTES, "tokens")
    entries: dict[bytes, Client] = {}
    for number, line in _lines(content):
        hashed, client = _entry(line, f"{named} line {number}")
        if hashed in entries:
            raise ConfigurationError(
                f"{named} line {number} has the token of a former line", "give each token once"
            )
        entries[hashed] = client
    if not entries:
        raise ConfigurationError(f"{named} has no token, so that nobody could ask", _REMEDY)
    if len(entries) > MOST_TOKENS:
        raise ConfigurationError(f"{named} has more than {MOST_TOKENS} tokens", "remove tokens")
    return Tokens(list(entries.items()))


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Return number and text of each line that is neither empty nor a comment; what is not ASCII stays, as what no entry has."""
    for number, line in enumerate(content.decode("ascii", "surrogateescape").split("\n"), 1):
        text = line.strip(" \t\r")
        if text and not text.startswith("#"):
            yield number, text


def _entry(line: str, where: str) -> tuple[bytes, Client]:
    parts = re.split(r"[ \t]+", line)
    if len(parts) != 3:
        raise ConfigurationError(f"{where} has {len(parts)} parts instead of 3", _REMEDY)
    name, scopes, token = parts
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where}: the name is wrong", "a name has 1 to 64 letters, digits, '.', '_' or '-'"
        )
    given = [scope for scope in SCOPES if scope in scopes.split(",")]
    if len(given) != len(scopes.split(",")):
        raise ConfigurationError(f"{where}: the scopes are wrong", f"the scopes are {', '.join(SCOPES)}")
    return _hash_of(token, where), Client(name, frozenset(given))


def _hash_of(token: str, where: str) -> bytes:
    if token.startswith(HASHED):
        digits = token.removeprefix(HASHED)
        if not _HASH.fullmatch(digits):
            raise ConfigurationError(
                f"{where}: the hash is wrong", f"{HASHED} is followed by 64 hexadecimal digits"
            )
        return bytes.fromhex(digits)
    if not _TOKEN.fullmatch(token) or not LEAST_CHARACTERS <= len(token) <= MOST_CHARACTERS:
        raise ConfigurationError(
            f"{where}: the token is wrong",
            f"a token has {LEAST_CHARACTERS} to {MOST_CHARACTERS} letters, digits, '-', '.', '_', '~', '+' or '/', with '=' at the "
            "end only",
        )
    return hashlib.sha256(token.encode()).digest()
