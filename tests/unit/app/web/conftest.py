"""A web application over counts that a test sets, asked in process by a real HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from app.web.asgi import create_asgi_app
from app.web.audiences import Audiences
from app.web.intake import Intake
from app.worker.metrics import Metrics
from tests.fakes.ingest import FakeIngest
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries
from tests.fakes.watches import FakeWatchStates


@pytest.fixture
def queries() -> FakeQueries:
    return FakeQueries()


@pytest.fixture
def health() -> FakeHealth:
    return FakeHealth()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def audiences(metrics: Metrics) -> Audiences:
    return Audiences(metrics.http)


@pytest.fixture
def watch_states() -> FakeWatchStates:
    return FakeWatchStates()


@pytest.fixture
def ingest() -> FakeIngest:
    return FakeIngest()


@pytest.fixture
async def client(
    queries: FakeQueries,
    health: FakeHealth,
    metrics: Metrics,
    audiences: Audiences,
    watch_states: FakeWatchStates,
    ingest: FakeIngest,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application; words in paths are normalised by `str.casefold`."""
    asgi_app = create_asgi_app(
        queries,
        health,
        metrics.registry,
        VERSION,
        str.casefold,
        audiences=audiences,
        watch_states=watch_states,
        intake=Intake(ingest, metrics.http),
        observer=metrics.http,
    )
    transport = httpx.ASGITransport(asgi_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as open_client:
        yield open_client
