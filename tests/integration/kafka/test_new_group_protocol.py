"""Members of the new group protocol (KIP-848) in the workers' group: a worker names them and ends, whoever joined first."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    Int8,
    Int16,
    Int32,
    Schema,
)

from app.local.embedded import EmbeddedBroker
from tables.kafka.requests import TAGS, TEXT
from tests.integration.operator_tools import wordcount
from tests.integration.worker import lines, wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers


class _HeartbeatResponse(Response):
    API_KEY = 68
    API_VERSION = 0
    # The tests do not read the later fields of the answer.
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", TEXT),
        ("member_id", TEXT),
        ("member_epoch", Int32),
        ("heartbeat_interval_ms", Int32),
    )


class _HeartbeatRequest(RequestStruct):
    API_KEY = 68
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _HeartbeatResponse
    SCHEMA = Schema(
        ("group", TEXT),
        ("member_id", TEXT),
        ("member_epoch", Int32),
        ("instance_id", TEXT),
        ("rack_id", TEXT),
        ("rebalance_timeout_ms", Int32),
        ("subscribed_topic_names", CompactArray(TEXT)),
        ("server_assignor", TEXT),
        ("topic_partitions", CompactArray(Int32)),
        TAGS,
    )


class Heartbeat(Request[_HeartbeatRequest]):
    API_KEY = 68

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_HeartbeatRequest]) -> _HeartbeatRequest:
        return request_struct_class(*self._fields, {})


class _FeaturesResponse(Response):
    API_KEY = 57
    API_VERSION = 1
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16), ("error_message", TEXT))


class _FeaturesRequest(RequestStruct):
    API_KEY = 57
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _FeaturesResponse
    SCHEMA = Schema(
        ("timeout_ms", Int32),
        (
            "updates",
            CompactArray(("name", TEXT), ("level", Int16), ("upgrade_type", Int8), TAGS),
        ),
        ("validate_only", Boolean),
        TAGS,
    )


class Upgrade(Request[_FeaturesRequest]):
    API_KEY = 57

    def build(self, request_struct_class: type[_FeaturesRequest]) -> _FeaturesRequest:
        return request_struct_class(10_000, [("group.version", 1, 1, {})], False, {})


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker that knows the new protocol, as every broker does whose storage was formatted by Kafka 4."""
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        asyncio.run(upgrade(running.bootstrap_servers))
        yield running


async def upgrade(servers: str) -> None:
    client = AIOKafkaClient(bootstrap_servers=servers)
    await client.bootstrap()
    try:
        answer = await client.send(client.get_random_node(), Upgrade())
        assert (answer.error_code, answer.error_message or "") == (0, "")
    finally:
        await client.close()


class RefusedError(Exception):
    """The broker does not let a member join by the new protocol."""


@asynccontextmanager
async def stranger(servers: str, group: str, topic: str) -> AsyncIterator[None]:
    """Be a member of the group by the new protocol until the block ends.

    Raises:
        RefusedError: the broker does not admit the member.
    """
    client = AIOKafkaClient(bootstrap_servers=servers, client_id="stranger")
    await client.bootstrap()
    member_id = uuid.uuid4().hex

    async def beat(epoch: int) -> Any:
        fields = (60_000, [topic], None, []) if epoch == 0 else (-1, None, None, None)
        found = await client.send(client.get_random_node(), FindCoordinatorRequest(group, 0))
        return await client.send(
            found.coordinator_id, Heartbeat(group, member_id, epoch, None, None, *fields)
        )

    async def beat_on(epoch: int) -> None:
        while True:
            await asyncio.sleep(0.5)
            epoch = (await beat(epoch)).member_epoch

    beating: asyncio.Task[None] | None = None
    try:
        answer = await beat(0)
        if answer.error_code:
            raise RefusedError(answer.error_message)
        beating = asyncio.create_task(beat_on(answer.member_epoch))
        yield
    finally:
        if beating is not None:
            beating.cancel()
        await client.close()


async def test_brokers_admit_no_member_of_the_new_protocol_while_a_worker_runs(
    kafka: KafkaClient, workers: Workers
) -> None:
    # What the workers' assignor tells the members is nothing that the broker could take over.
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 4)
    worker = await workers().start().wait_ready()
    with pytest.raises(RefusedError, match="an unsupported custom assignor is in use"):
        async with stranger(servers, workers.group, topic):
            pass
    await kafka.produce(topic, lines(1, 100))
    await wait_counted([worker], servers, topic)


async def test_a_member_of_the_new_protocol_ends_the_worker_and_is_named(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 4)
    await kafka.produce(topic, lines(1, 100))
    async with stranger(servers, workers.group, topic):
        worker = workers().start()
        assert await worker.ended() == 2
        line = f"wordcount: group {workers.group} has members of the new group protocol, which are no Wordcount workers: stranger at "
        assert line in worker.log
        done = await asyncio.to_thread(wordcount, worker, "doctor", "--json")
        assert done.returncode == 1
        (check,) = [
            check for check in json.loads(done.stdout) if check["name"].startswith("members of group")
        ]
        assert check["status"] == "fail"
        assert "stranger at " in check["detail"]
        # Counts are not reset either while another program uses the group.
        done = await asyncio.to_thread(wordcount, worker, "reset", "--yes")
        assert done.returncode == 2
        assert "stranger at " in done.stderr
