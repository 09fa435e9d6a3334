"""Questions between real servers on loopback: answers, proofs, and every kind of peer that is not to be believed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app.reads.answers import Behind
from app.reads.peers import BusyError, Deployment, OtherDeploymentError, PeerError, Peers
from app.reads.proof import Proofs
from app.reads.questions import (
    CountsAsked,
    Question,
    Told,
    WorkerStatus,
)
from app.web.asgi import create_asgi_app
from app.web.connections import Limits
from app.web.request_bodies import BodyBudget
from app.web.server import WebServer, bound_socket
from tables.errors import NotReadyError, OverloadedError, QueryTimeoutError
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

OURS = Deployment("group", "topic")
QUESTION = CountsAsked(partitions=[0, 3], words=[b"fox", b"\xc3\xbc"])
ANSWER = Told([5, 0], {0: 7}, {0: "active"}, {}, {3: "it is not here"})
SECRET = "0123456789abcdef"


class Outcomes(Counter[str]):
    """Counts how questions ended."""

    def peer_asked(self, outcome: str, duration_s: float) -> None:
        self[outcome] += 1


class Local:
    """The partitions of a worker."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.answer: Any = ANSWER
        self.wait_s = 0.0
        self.hold: asyncio.Event | None = None

    async def ask(self, question: Question, held_s: float, end_s: float) -> Told[Any]:
        self.asked.append(question)
        await asyncio.sleep(self.wait_s)
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return cast("Told[Any]", self.answer)

    def status(self) -> WorkerStatus:
        return WorkerStatus("p1", "1.2.3", {}, {})


def peers(deployment: Deployment = OURS, secret: str = "") -> Peers:
    return Peers(deployment, Proofs(lambda: secret), Outcomes())


@asynccontextmanager
async def worker(
    local: Local, deployment: Deployment = OURS, secret: str = "", port: int = 0
) -> AsyncIterator[str]:
    listener = bound_socket("127.0.0.1", port)
    answers: Any = SimpleNamespace(local=local, proofs=Proofs(lambda: secret), deployment=deployment)
    asgi_app = create_asgi_app(
        FakeQueries(), FakeHealth(), CollectorRegistry(), VERSION, peer_answers=answers
    )
    observer: Any = SimpleNamespace(http_connections=int, http_connection_closed=str)
    server = WebServer(asgi_app, lambda: [listener], lambda: Limits(50, 20_000), observer)
    async with server:
        while not server._server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def stranger(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    server = await asyncio.start_server(behave, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("secret", ["", SECRET])
async def test_a_question_is_answered_over_a_kept_connection(secret: str) -> None:
    local, asking = Local(), peers(secret=secret)
    async with worker(local, secret=secret) as url:
        for _ in range(3):
            assert await asking.ask(url, QUESTION, 5) == ANSWER
        assert local.asked == [QUESTION] * 3
        assert (await asking.status(url, 5)).process == "p1"
        assert asking._session is not None
        connector: Any = asking._session.connector
        assert sum(map(len, connector._conns.values())) == 1
        assert cast("Outcomes", asking._observer) == {"answered": 4}
        await asking.close()


@pytest.mark.parametrize(
    ("asks", "answers", "reason"),
    [
        (SECRET, "another secret..", "the same WORDCOUNT_PEER_SECRET"),
        ("", SECRET, "the same WORDCOUNT_PEER_SECRET"),
        (SECRET, "", "does not prove that it knows WORDCOUNT_PEER_SECRET"),
    ],
)
async def test_workers_with_different_secrets_do_not_believe_each_other(
    asks: str, answers: str, reason: str
) -> None:
    asking = peers(secret=asks)
    async with worker(Local(), secret=answers) as url:
        with pytest.raises(PeerError, match=reason) as raised:
            await asking.ask(url, QUESTION, 5)
        await asking.close()
    assert SECRET not in str(raised.value)


async def test_a_worker_of_another_deployment_is_not_believed() -> None:
    asking = peers()
    async with worker(Local(), Deployment("another", "topic")) as url:
        with pytest.raises(OtherDeploymentError, match="counts for another/topic, not group/topic"):
            await asking.ask(url, QUESTION, 5)
        await asking.close()


@pytest.mark.parametrize(
    "answer",
    [
        Told([5], {0: 7}, {0: "active"}, {}, {3: "no"}),
        Told([5, 0], {0: 7, 4: 1}, {0: "active", 4: "active"}, {}, {3: "no"}),
        Told([5, 0], {0: 7}, {}, {}, {3: "no"}),
        Told([5, 0], {0: 7}, {0: "active"}, {}, {0: "no"}),
        Told([5, 0], {0: 7}, {0: "active"}, {3: Behind(1, 1.0)}, {3: "no"}),
    ],
)
async def test_an_answer_that_does_not_fit_the_question_is_not_believed(answer: Told[Any]) -> None:
    local, asking = Local(), peers()
    local.answer = answer
    async with worker(local) as url:
        with pytest.raises(PeerError, match="something else than was asked"):
            await asking.ask(url, QUESTION, 5)
        await asking.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OverloadedError("128 queries wait (list)", "ask again later"), BusyError),
        (QueryTimeoutError("there was no answer in time"), BusyError),
        (NotReadyError("a store is being closed"), PeerError),
    ],
)
async def test_what_keeps_a_worker_from_answering_is_told(error: Exception, kind: type[PeerError]) -> None:
    local, asking = Local(), peers()
    local.answer = error
    async with worker(local) as url:
        with pytest.raises(PeerError, match=r"queries wait|no answer in time|being closed") as raised:
            await asking.ask(url, QUESTION, 5)
        assert type(raised.value) is kind
        assert not asking.is_suspect(url), "it answers"
        await asking.close()


async def test_a_question_of_a_stranger_is_refused_before_it_is_read() -> None:
    async with worker(Local(), secret=SECRET) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = b"POST /peer/v1/ask HTTP/1.1\r\nHost: localhost\r\nWordcount-Deployment: group/topic\r\n"
        writer.write(head + b"Content-Length: 8000000\r\n\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert answer.startswith(b"HTTP/1.1 401")
        writer.close()


async def test_a_worker_that_accepts_and_never_answers_takes_the_time_of_the_question_and_no_more() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    asking = peers()
    async with stranger(silent) as url:
        started = asyncio.get_running_loop().time()
        with pytest.raises(PeerError, match="does not answer in time"):
            await asking.ask(url, QUESTION, 0.2)
        assert asyncio.get_running_loop().time() - started < 1
        assert asking.is_suspect(url)
        await asking.close()


OK = b"HTTP/1.1 200 OK\r\nWordcount-Deployment: group/topic\r\n"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "cannot be reached"),
        (b"garbage\r\n\r\n", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "no worker of this version"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhi", "no worker of this version"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "no worker"),
        (OK + b"Content-Length: 2\r\n\r\nhi", "answers what is no answer"),
        (OK + b"Content-Length: 0\r\n\r\n", "answers what is no answer"),
        (OK + b"Content-Length: 100\r\n\r\nhi", "cannot be reached"),
        (OK + b"Content-Length: 3\r\n\r\n\xdd\xff\xff", "answers what is no answer"),
        (OK + b"Content-Length: 100000\r\n\r\n" + b"\x91" * 100_000, "answers what is no answer"),
        (
            OK + b"Content-Length: 15\r\n\r\n" + msgspec.msgpack.encode([[2**63], {}, {}, {}, {}]),
            "answers what is no answer",
        ),
        (b"HTTP/1.1 200 OK\r\nWordcount-Deployment: \xff\r\nContent-Length: 0\r\n\r\n", "counts for"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", "answers what is no answer"),
    ],
)
async def test_garbage_is_not_believed(sent: bytes, reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    asking = peers()
    async with stranger(answer) as url:
        with pytest.raises(PeerError, match=reason):
            await asking.ask(url, QUESTION, 2)
        await asking.close()


async def test_a_proof_that_is_no_text_is_none() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Wordcount-Proof: \xff\xfe\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    asking = peers(secret=SECRET)
    async with stranger(answer) as url:
        with pytest.raises(PeerError, match="does not prove"):
            await asking.ask(url, QUESTION, 2)
        await asking.close()


async def test_a_worker_is_not_suspect_because_no_time_was_left_to_ask_it() -> None:
    asking = peers()
    async with worker(Local()) as url:
        with pytest.raises(PeerError, match="no time is left"):
            await asking.ask(url, QUESTION, 0.0)
        assert not asking.is_suspect(url)
        await asking.close()


async def test_an_answer_without_an_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.reads.peers.MOST_ANSWER_BYTES", 10_000)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 5_000)
            await writer.drain()

    asking = peers()
    async with stranger(answer) as url:
        with pytest.raises(PeerError, match="longer than 10000 bytes"):
            await asking.ask(url, QUESTION, 5)
        await asking.close()


async def test_a_worker_that_comes_back_is_asked_again_and_both_are_logged_once() -> None:
    asking = peers()
    async with worker(Local()) as url:
        await asking.ask(url, QUESTION, 5)
    port = int(url.rpartition(":")[2])
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(PeerError, match="cannot be reached"):
                await asking.ask(url, QUESTION, 5)
        async with worker(Local(), port=port):
            for _ in range(3):
                await asking.ask(url, QUESTION, 5)
    assert [log["event"] for log in logs if log.get("url") == url] == [
        "a worker does not answer questions",
        "a worker answers again",
    ]
    assert not asking.is_suspect(url)
    await asking.close()


async def test_a_worker_that_stops_asks_nobody_also_where_a_connection_ended_meanwhile() -> None:
    asking = peers()

    async def stopping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asking.close()
        writer.close()

    async with stranger(stopping) as url:
        for _ in range(2):
            with pytest.raises(PeerError, match="this worker stops"):
                await asking.ask(url, QUESTION, 5)


async def test_a_worker_without_http_is_not_asked() -> None:
    with pytest.raises(PeerError, match="serves no HTTP"):
        await peers().ask("", QUESTION, 5)


async def test_a_question_that_cannot_be_understood_is_refused_by_name() -> None:
    async with worker(Local()) as url:
        host, port = url.removeprefix("http://").split(":")
        for body, headers, status, name in (
            (
                b"garbage",
                b"Wordcount-Deployment: group/topic\r\nWordcount-Time-Left-Ms: 5\r\n",
                400,
                "no-question",
            ),
            (msgspec.msgpack.encode(QUESTION), b"Wordcount-Deployment: group/topic\r\n", 400, "no-question"),
            (msgspec.msgpack.encode(QUESTION), b"", 409, "other-deployment"),
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /peer/v1/ask HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                + headers
                + b"Content-Length: %d\r\n\r\n" % len(body)
                + body
            )
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            head, _, problem = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d" % status)
            assert json.loads(problem)["type"].endswith(name)


async def test_questions_that_are_too_long_together_are_refused_until_one_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.web.asgi.BodyBudget", lambda: BodyBudget(300))
    question = CountsAsked(partitions=[0, 3], words=[b"x" * 150, b"y"])
    local, asking = Local(), peers()
    local.hold = asyncio.Event()
    async with worker(local) as url:
        first = asyncio.create_task(asking.ask(url, question, 30))
        async with asyncio.timeout(30):
            while not local.asked:
                await asyncio.sleep(0.01)
        with pytest.raises(PeerError, match="the bodies of all requests together have more than 300 bytes"):
            await asking.ask(url, question, 30)
        local.hold.set()
        assert await first == ANSWER
        assert await asking.ask(url, question, 30) == ANSWER
        await asking.close()


async def test_a_question_longer_than_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.resources.peer.MOST_QUESTION_BYTES", 100)
    asking = peers()
    async with worker(Local()) as url:
        with pytest.raises(PeerError, match="longer than 100 bytes"):
            await asking.ask(url, CountsAsked(partitions=[0], words=[b"x" * 200]), 5)
        await asking.close()
