"""The check of the group's workers, against their own HTTP applications on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from agents.source.group_map import Card
from app.config.settings import Settings
from app.kafka.group_members import GroupMember
from app.operate.check import Check
from app.operate.member_checks import MOST_NAMED, member_check
from app.reads.answers import Assignments, WorkerAssignment
from app.reads.peers import Deployment
from app.reads.proof import Proofs
from app.web.asgi import create_asgi_app
from app.worker.metrics import Metrics
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

SETTINGS = Settings(group="g", topic="t")
OURS = Deployment("g", "t")
NOWHERE = "http://127.0.0.1:1"
Start = Callable[..., str]


@contextmanager
def served(deployment: Deployment, version: str, advertised: str | None, peers: bool) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    here = WorkerAssignment(url if advertised is None else advertised, True, "", version, {}, {})
    other = replace(here, url="http://10.0.0.1:1", is_here=False, version="0.0.1")
    answers: Any = SimpleNamespace(
        local=None, proofs=Proofs(lambda: "a secret of workers"), deployment=deployment
    )
    asgi_app = create_asgi_app(
        FakeQueries(assigned=Assignments(1, 2, [other, here])),
        FakeHealth(),
        Metrics().registry,
        VERSION,
        peer_answers=answers if peers else None,
    )
    server = uvicorn.Server(uvicorn.Config(asgi_app, log_level="warning", lifespan="off"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    try:
        yield url
    finally:
        server.should_exit = True
        serving.join()
        listener.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a worker and returns its URL."""
    with ExitStack() as running:

        def run(
            deployment: Deployment = OURS,
            version: str = "1.2.3",
            advertised: str | None = None,
            peers: bool = True,
        ) -> str:
            return running.enter_context(served(deployment, version, advertised, peers))

        yield run


def check(*urls: str | None) -> Check:
    members = [GroupMember(f"wordcount at {url}", None if url is None else Card(url)) for url in urls]
    found = member_check(SETTINGS, members)
    assert found.name == "workers of group g"
    return found


def test_a_group_without_members_has_no_problem() -> None:
    assert check() == Check("workers of group g", "ok", "no worker runs")


def test_workers_that_answer_where_they_say_are_counted_with_their_version(start: Start) -> None:
    assert check(start(), start()).detail == "2 answer where they say, version 1.2.3"


@pytest.mark.parametrize("advertised", ["http://10.0.0.9:80", ""])
def test_an_address_that_leads_to_another_worker_fails(start: Start, advertised: str) -> None:
    url = start(advertised=advertised)
    found = check(start(), url)
    assert (found.status, found.detail) == (
        "fail",
        f"at {url} the worker answers that advertises {advertised or 'nothing'}",
    )
    assert "WORDCOUNT_ADVERTISED_URL" in found.remedy


def test_a_worker_of_another_deployment_fails(start: Start) -> None:
    url = start(Deployment("g", "other"))
    assert check(url) == Check(
        "workers of group g", "fail", f"the worker at {url} counts for g/other, not g/t", check(url).remedy
    )


def test_an_address_of_two_workers_fails(start: Start) -> None:
    url = start()
    found = check(url, url)
    assert (found.status, found.detail) == ("fail", f"2 workers advertise {url}")


def test_a_worker_that_does_not_answer_is_named(start: Start) -> None:
    found = check(start(), NOWHERE)
    assert found.status == "warn"
    assert found.detail.startswith(f"no worker answers at {NOWHERE} (")
    assert "/readyz" in found.remedy


def test_what_is_no_worker_of_this_version_is_named(start: Start) -> None:
    url = start(peers=False)
    assert check(url).detail == f"what answers at {url} is not a worker of this version"


@pytest.mark.parametrize("url", [None, ""])
def test_a_member_that_does_not_say_where_it_is_asked_is_named(start: Start, url: str | None) -> None:
    found = check(start(), url)
    assert found.status == "warn"
    assert found.detail.startswith(
        f"wordcount at {url} does not say where it is asked: it is of a former version"
    )


def test_several_versions_are_named(start: Start) -> None:
    found = check(start(), start(version="1.3.0"))
    assert (found.status, found.detail) == ("warn", "there are several versions: 1.2.3, 1.3.0")


def test_of_many_problems_few_are_named() -> None:
    found = check(*[None] * (MOST_NAMED + 3))
    assert found.detail.count("does not say") == MOST_NAMED
    assert found.detail.endswith("; and 3 more")


def test_certificates_that_cannot_be_read_fail(tmp_path: Any) -> None:
    (tmp_path / "ca.pem").touch()
    settings = Settings(group="g", topic="t", http_tls_ca_file=tmp_path / "ca.pem")
    found = member_check(settings, [GroupMember("wordcount at x", Card(NOWHERE))])
    assert (found.status, "WORDCOUNT_HTTP_TLS_CA_FILE" in found.detail) == ("fail", True)
