"""What HTTP needs of the settings: names, access, certificates, clients of streams, and how the words of questions are normalised."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.web.access.options import Access
from app.web.access.renewed import Renewed
from app.web.access.tls import server_context
from app.web.access.tokens import read_tokens
from app.web.audiences import Audiences
from app.web.connections import limits_for
from app.web.hosts import AllowedHosts
from app.web.intake import Intake

if TYPE_CHECKING:
    from agents.text.tokenizer import Tokenizer
    from app.config.settings import Settings
    from app.produce.receipt import Ingest
    from app.web.intake import IngestObserver
    from app.web.stream_client import StreamObserver


def allowed_hosts(settings: Settings) -> AllowedHosts:
    """Return the names that a client may send as Host: this machine's, the advertised, the one that HTTP listens on, the setting's."""
    advertised = urlsplit(settings.advertised_url or "").hostname
    names = [socket.gethostname(), settings.http_host, *settings.http_allowed_hosts]
    return AllowedHosts(names if advertised is None else [advertised, *names])


def access_of(settings: Settings) -> Access:
    """Return who may ask, how often, and from pages of which origins. Raise ConfigurationError if the tokens cannot be read."""
    file = settings.tokens_file
    tokens = None if file is None else Renewed(lambda: read_tokens(file), [file]).present
    return Access(tokens, settings.rate_limit_per_s, settings.cors_origins)


def audiences_of(settings: Settings, observer: StreamObserver) -> Audiences:
    """Return the audiences of a process. Some connections always remain for who asks otherwise: probes, workers, people."""

    def most_clients() -> int:
        return min(settings.stream_clients, limits_for(settings.max_word_bytes).connections * 3 // 4)

    return Audiences(observer, most_clients)


def intake_of(settings: Settings, ingest: Ingest, observer: IngestObserver) -> Intake:
    """Return the intake of a process whose texts `ingest` sends."""
    return Intake(ingest, observer, settings.ingest_bytes_per_s, settings.cors_origins)


def server_tls(settings: Settings) -> Callable[[], ssl.SSLContext] | None:
    """Return a function that returns the server's TLS context by its present files; None = HTTP without TLS.

    Raises:
        ConfigurationError: the files cannot be used.
    """
    cert_file, key_file = settings.http_tls_cert_file, settings.http_tls_key_file
    return None if cert_file is None else server_context(cert_file, key_file).present


def normaliser(words: Tokenizer) -> Callable[[str], str]:
    """Return a function that normalises the word of a query by the profile.

    A text of which the profile makes no word, or several words, is looked up unchanged.
    """

    def normalise(word: str) -> str:
        tokens = words.tokens(word)
        return tokens[0] if len(tokens) == 1 else word

    return normalise
