"""The command line in process, with no settings but those that a test makes, and a worker's HTTP to ask."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from app.cli import main
from app.config.settings import Settings
from app.config.types import variable
from app.web.asgi import create_asgi_app
from app.worker.metrics import Metrics
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working directory, no variable of ours, no broker, and a terminal too wide to break lines."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("WORDCOUNT_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def wordcount(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Outcome]:
    """Runs one command."""

    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capfdbinary.readouterr()
        return Outcome(ended.value.code or 0, out.decode(), err.decode())

    return run


@pytest.fixture
def queries() -> FakeQueries:
    return FakeQueries()


@pytest.fixture
def worker_port(queries: FakeQueries) -> Iterator[int]:
    """Port of a worker's own HTTP application over `queries`."""
    listener = socket.create_server(("127.0.0.1", 0))
    asgi_app = create_asgi_app(queries, FakeHealth(), Metrics().registry, VERSION)
    server = uvicorn.Server(uvicorn.Config(asgi_app, log_level="warning", lifespan="off"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    serving.join()
    listener.close()
