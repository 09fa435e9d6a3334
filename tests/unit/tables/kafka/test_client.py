"""The bounded Kafka client when a broker is silent, refuses or moved, without a broker; the last tests check aiokafka itself."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, conn
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, RequestTimedOutError
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import BrokerMetadata

from tables.kafka import client as kafka_client
from tables.kafka.client import BoundedClient

TIMEOUT_S = 0.5
"""Long enough for an answer on a machine whose cores have other work."""

JOIN = JoinGroupRequest("group", 1, 1, "", None, "consumer", [])


class Connection:
    """Answers with what `answer` makes of a request; None = never."""

    def __init__(self, host: str, port: int, answer: Callable[[Any], Any]) -> None:
        self.host, self.port, self._answer = host, port, answer
        self._requests: deque[Any] = deque()
        self._writer = None
        self.closed_for: Any = None

    def connected(self) -> bool:
        return self.closed_for is None

    def send(self, request: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._requests.append((1, request, future))
        if (answer := self._answer(request)) is not None:
            asyncio.get_running_loop().call_soon(self._answered, answer)
        return asyncio.wait_for(future, 60)

    def _answered(self, answer: Any) -> None:
        if self._requests:
            self._requests.popleft()[2].set_result(answer)

    def close(self, reason: Any = "closed", exc: BaseException | None = None) -> None:
        self.closed_for = self.closed_for or reason
        for _, _, future in self._requests:
            if not future.done():
                error = KafkaConnectionError("closed")
                error.__cause__ = exc
                future.set_exception(error)
        self._requests.clear()


def silent(_: Any) -> None:
    return None


def broker(number: int, port: int = 0) -> BrokerMetadata:
    return BrokerMetadata(number, "host", port or number, None)


class Network:
    """Connections that are made, and what becomes of attempts."""

    def __init__(self) -> None:
        self.answers: dict[int, Callable[[Any], Any]] = {}
        self.refused: set[int] = set()
        self.attempts: list[int] = []
        self.made: list[Connection] = []

    async def connect(self, host: str, port: int, **_: Any) -> Connection:
        self.attempts.append(port)
        await asyncio.sleep(0.001)
        if port in self.refused:
            raise OSError("refused")
        self.made.append(Connection(host, port, self.answers.get(port, lambda request: request)))
        return self.made[-1]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(kafka_client, "create_conn", network.connect)
    return network


@pytest.fixture
async def client() -> BoundedClient:
    made = BoundedClient(bootstrap_servers="host:1", request_timeout_ms=int(TIMEOUT_S * 1000))
    made.cluster._brokers = {number: broker(number) for number in (1, 2)}
    return made


async def test_a_silent_broker_loses_its_connection_though_the_caller_has_left(
    client: BoundedClient, network: Network
) -> None:
    network.answers[1] = silent
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.send(1, ApiVersionRequest()), TIMEOUT_S / 5)
    assert network.made[0].connected()
    await asyncio.sleep(2 * TIMEOUT_S)
    assert network.made[0].closed_for == CloseReason.CONNECTION_TIMEOUT


async def test_who_waits_is_told_which_broker_is_silent_and_it_is_asked_last(
    client: BoundedClient, network: Network
) -> None:
    network.answers[1] = silent
    with pytest.raises(RequestTimedOutError, match="broker 1 at host:1 did not answer within"):
        await client.send(1, ApiVersionRequest())
    assert {client.get_random_node() for _ in range(20)} == {2}


async def test_an_answer_in_time_leaves_the_connection(client: BoundedClient, network: Network) -> None:
    await client.send(1, ApiVersionRequest())
    await asyncio.sleep(2 * TIMEOUT_S)
    assert [made.connected() for made in network.made] == [True]


async def test_a_join_may_take_longer_while_the_broker_lives(client: BoundedClient, network: Network) -> None:
    network.answers[1] = lambda request: None if request is JOIN else request
    joining = asyncio.create_task(client.send(1, JOIN, group=ConnectionGroup.COORDINATION))
    await asyncio.sleep(4 * TIMEOUT_S)
    assert not joining.done()
    network.answers[1] = silent
    for made in network.made:
        made._answer = silent
    with pytest.raises(RequestTimedOutError):
        await asyncio.wait_for(joining, 10)


async def test_a_broker_that_refused_is_named_and_not_connected_to_at_once_by_all_who_wait(
    client: BoundedClient, network: Network
) -> None:
    network.refused = {1}
    errors = await asyncio.gather(
        *(client.send(1, ApiVersionRequest()) for _ in range(5)), return_exceptions=True
    )
    assert {type(error) for error in errors} == {NodeNotReadyError}
    assert "host:1: refused" in str(errors[0])
    assert network.attempts == [1]


async def test_a_broker_that_moved_gets_a_new_connection(client: BoundedClient, network: Network) -> None:
    await client.send(1, ApiVersionRequest())
    client.cluster._brokers[1] = broker(1, 11)
    await client.send(1, ApiVersionRequest())
    assert ([made.port for made in network.made], network.made[0].connected()) == ([1, 11], False)


async def test_any_broker_answers_where_one_is_silent(client: BoundedClient, network: Network) -> None:
    network.answers[1] = silent
    request = ApiVersionRequest()
    for _ in range(5):
        assert await client.send_to_any(request) is request


async def test_no_metadata_request_creates_a_topic(client: BoundedClient, network: Network) -> None:
    asked: list[MetadataRequest] = []
    network.answers[1] = network.answers[2] = lambda request: (
        asked.append(request) or SimpleNamespace(brokers=[])
    )
    await client._metadata_update(client.cluster, {"texts"})
    await client._metadata_update(client.cluster, None)
    assert [request._allow_auto_topic_creation for request in asked] == [False, False]


async def test_what_a_write_was_refused_for_is_kept_until_one_is_taken(
    client: BoundedClient, network: Network
) -> None:
    answers = [
        SimpleNamespace(API_VERSION=8, topics=[("texts", [(3, code, 0, 0, 0, [], said)])])
        for code, said in ((19, None), (44, "not today"), (0, None))
    ]
    network.answers[1] = lambda _: answers.pop(0)
    seen = []
    for _ in range(3):
        await client.send(1, ProduceRequest(None, -1, 1000, []))
        seen.append([str(refusal) for refusal in client.refusals.values()])
    assert seen == [["NotEnoughReplicasError"], ["PolicyViolationError: not today"], []]


async def test_a_broker_has_less_time_for_its_replicas_than_we_wait(
    client: BoundedClient, network: Network
) -> None:
    request = ProduceRequest(None, -1, 10_000, [])
    network.answers[1] = lambda _: SimpleNamespace(API_VERSION=8, topics=[])
    await client.send(1, request)
    assert request._timeout < TIMEOUT_S * 1000


# What an upgrade of aiokafka could change.


async def test_consumers_and_producers_use_our_client() -> None:
    kafka_client.install()
    assert isinstance(AIOKafkaConsumer(bootstrap_servers="host:1")._client, BoundedClient)
    assert isinstance(AIOKafkaProducer(bootstrap_servers="host:1").client, BoundedClient)


@pytest.mark.parametrize(
    "name",
    ["bootstrap", "get_random_node", "coordinator_lookup", "send", "_get_conn", "_metadata_update"],
)
def test_overridden_methods_are_those_that_aiokafka_has(name: str) -> None:
    theirs, ours = (inspect.signature(getattr(kind, name)) for kind in (AIOKafkaClient, BoundedClient))
    assert list(theirs.parameters) == list(ours.parameters)


def test_what_is_used_of_a_connection_is_there() -> None:
    code = Path(conn.__file__).read_text()
    for name in ("self._requests.append(", "self._writer = ", "def close(self, reason=None, exc=None)"):
        assert name in code
