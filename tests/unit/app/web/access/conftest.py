"""Files of tokens, a clock that a test moves, and an application behind restrictions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.web.access.options import Access
from app.web.access.renewed import Renewed
from app.web.access.tokens import Tokens, read_tokens
from app.web.asgi import create_asgi_app
from app.worker.metrics import Metrics
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries
from tests.fakes.watches import FakeWatchStates

READER = "reader-token-0123456789"
WRITER = "writer-token-0123456789"
ADMIN = "admin-token-0123456789=="


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    """A file with a token for each scope."""
    path = tmp_path / "tokens"
    path.write_text(
        f"# who may ask\n\nreader read {READER}\nwriter\tingest {WRITER}\nboss  read,admin {ADMIN}\n"
    )
    return path


@pytest.fixture
def tokens(tokens_file: Path, clock: Clock) -> Renewed[Tokens]:
    """The tokens of `tokens_file`, which are looked at again when `clock` moves."""
    return Renewed(lambda: read_tokens(tokens_file), [tokens_file], clock)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def asking() -> Callable[..., Any]:
    """A function that returns a client of an application with some restrictions; the client has an address."""

    @asynccontextmanager
    async def client_of(access: Access, host: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
        asgi_app = create_asgi_app(
            FakeQueries(),
            FakeHealth(),
            Metrics().registry,
            VERSION,
            access=access,
            watch_states=FakeWatchStates(),
        )
        transport = httpx.ASGITransport(asgi_app, client=(host, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client

    return client_of
