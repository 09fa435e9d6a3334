"""Administrative requests to brokers: describe, create, extend and delete topics, ask for groups and rights.

Made with aiokafka's low-level client. `AIOKafkaAdminClient` is not used: a request for a topic's metadata creates the topic if the
brokers allow that, `AIOKafkaAdminClient` cannot ask for rights, and it raises errors whose codes the callers of this module need.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError, NodeNotReadyError, RequestTimedOutError, for_code
from aiokafka.protocol.admin import (
    ApiVersionRequest,
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteGroupsRequest,
    DeleteTopicsRequest,
    DescribeConfigsRequest,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest

from agents.source.group_protocol import strangers
from app.kafka.clients import connected, connection, unavailable
from tables.errors import BrokerUnavailableError
from tables.kafka.broker_errors import NO_COORDINATOR, NO_ERROR, NO_GROUP, UNKNOWN_TOPIC
from tables.kafka.client import BROKER_SHARE, REQUESTS_PER_STEP, BoundedClient
from tables.kafka.requests import DescribeGroup, DescribeTopics
from tables.kafka.rights import operations
from tables.kafka.topic_description import TopicDescription, descriptions

if TYPE_CHECKING:
    from app.config.settings import Settings

_COORDINATOR_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.1
_FETCH: Final = 1
_TOPIC_RESOURCE: Final = 2


class Admin:
    """Administrative requests on one client; made by `open_admin`. All methods may raise KafkaError and TimeoutError."""

    def __init__(self, client: BoundedClient) -> None:
        self._client = client
        self._timeout_s = client.answer_timeout_s * REQUESTS_PER_STEP
        self._broker_timeout_ms = int(client.answer_timeout_s * BROKER_SHARE * 1000)
        self.rights: frozenset[str] | None = None
        """Operations on the cluster that this user may do, as of the last `describe`; None = the broker does not report rights."""
        self.brokers: Sequence[str] = ()
        """`host:port` of every broker, as of the last `describe`."""
        self._controller: int | None = None

    async def describe(self, *topics: str) -> Mapping[str, TopicDescription]:
        """Return descriptions by topic; a missing topic is never created."""
        answer = await self._send(DescribeTopics(topics, cluster_rights=True))
        self._controller = answer.controller_id
        self.brokers = [f"{host}:{port}" for _, host, port, *_ in answer.brokers]
        with_rights = answer.API_VERSION >= DescribeTopics.RIGHTS_VERSION
        self.rights = operations(answer.cluster_authorized_operations) if with_rights else None
        return descriptions(answer)

    async def fetch_versions(self) -> tuple[int, int]:
        """Return the oldest and the newest version of the Fetch request that a broker accepts, which hint at its own version."""
        answer = await self._send(ApiVersionRequest())
        return next((low, high) for key, low, high in answer.api_versions if key == _FETCH)

    async def topic_config(self, topic: str, name: str) -> str | None:
        """Return the value of one configuration of a topic; None if this user may not read the value, or there is none."""
        answer = await self._send(DescribeConfigsRequest([(_TOPIC_RESOURCE, topic, [name])]))
        for error_code, _, _, _, entries in answer.resources:
            if error_code == NO_ERROR:
                return next((entry[1] for entry in entries if entry[0] == name), None)
        return None

    async def create_topic(
        self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]
    ) -> tuple[int, str]:
        """Create a topic. Return (error code, the broker's explanation); 0 = the topic was created."""
        request = CreateTopicsRequest(
            [(name, partitions, replication_factor, [], list(config.items()))], self._broker_timeout_ms, False
        )
        answer = await self._send_to_controller(request)
        _, error_code, *message = answer.topic_errors[0]
        return error_code, _said(error_code, *message)

    async def extend_topic(self, name: str, partitions: int) -> tuple[int, str]:
        """Raise the number of a topic's partitions to `partitions`. Return (error code, the broker's explanation); 0 = done."""
        request = CreatePartitionsRequest([(name, (partitions, None))], self._broker_timeout_ms, False)
        answer = await self._send_to_controller(request)
        _, error_code, *message = answer.topic_errors[0]
        return error_code, _said(error_code, *message)

    async def delete_topic(self, name: str) -> bool:
        """Delete a topic and wait until the topic is gone. Return False if the topic did not exist.

        Raises:
            KafkaError: the broker refuses the deletion.
            TimeoutError: the topic still exists after two time-outs of a request.
        """
        await self.describe(name)  # Finds the controller, which alone deletes topics.
        answer = await self._send_to_controller(DeleteTopicsRequest([name], self._broker_timeout_ms))
        error_code = answer.topic_error_codes[0][1]
        if error_code == UNKNOWN_TOPIC:
            return False
        if error_code:
            raise for_code(error_code)()
        async with asyncio.timeout(self._timeout_s):
            while (await self.describe(name))[name].error_code != UNKNOWN_TOPIC:  # noqa: ASYNC110 - asked of the broker
                await asyncio.sleep(_POLL_S)
        return True

    async def group_members(self, group: str) -> Sequence[str]:
        """Return `client id at host` of each member of a group, of either group protocol; empty if the group does not exist."""
        node = await self._coordinator(group)
        if found := await strangers(lambda request: self._send(request, node), group):
            return found
        _, members = await self.described_group(group)
        return [f"{client_id} at {host.removeprefix('/')}" for _, client_id, host, *_ in members]

    async def described_group(self, group: str) -> tuple[str, Sequence[Any]]:
        """Return the state of a group of the classic protocol, and its members; no members if the group does not exist.

        A member is (member id, client id, host, metadata, assignment); while the group rebalances both are empty.
        """
        answer = await self._send(DescribeGroup(group), await self._coordinator(group))
        error_code, _, state, _, _, members, *_ = answer.groups[0]
        if error_code not in {NO_ERROR, NO_GROUP}:
            raise for_code(error_code)()
        return state, members

    async def strangers(self, group: str) -> Sequence[str]:
        """Return `client id at host` of each member that speaks the new group protocol, which no worker speaks."""
        node = await self._coordinator(group)
        return await strangers(lambda request: self._send(request, node), group)

    async def delete_group(self, group: str) -> None:
        """Delete a consumer group with its offsets; do nothing if the group does not exist.

        Raises:
            KafkaError: the group has members, or the broker refuses the deletion.
        """
        answer = await self._send(DeleteGroupsRequest([group]), await self._coordinator(group))
        error_code = answer.results[0][1]
        if error_code not in {NO_ERROR, NO_GROUP}:
            raise for_code(error_code)()

    async def group_rights(self, group: str) -> frozenset[str] | None:
        """Return the operations on a consumer group that this user may do; None if the broker does not report rights.

        Raises:
            KafkaError: for example `GroupAuthorizationFailedError`, or the group has no coordinator yet.
        """
        answer = await self._send(DescribeGroup(group), await self._coordinator(group))
        error_code, _, _, _, _, _, *rights = answer.groups[0]
        if error_code:
            raise for_code(error_code)()
        return operations(*rights)

    async def coordinator_error(self, group: str, timeout_s: float) -> int:
        """Return 0 if the group has a coordinator, else the error code: `NO_COORDINATOR` if none was found in `timeout_s`."""
        return int((await self._find_coordinator(group, timeout_s)).error_code)

    async def _coordinator(self, group: str) -> int:
        found = await self._find_coordinator(group, _COORDINATOR_TIMEOUT_S)
        if found.error_code:
            raise for_code(found.error_code)()
        return int(found.coordinator_id)

    async def _find_coordinator(self, group: str, timeout_s: float) -> Any:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            found = await self._send(FindCoordinatorRequest(group, 0))
            # On a new cluster the first request for a coordinator creates the topic that coordinators need.
            if found.error_code != NO_COORDINATOR or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(_POLL_S)

    async def _send_to_controller(self, request: Any) -> Any:
        """Send a request to the controller, or to any broker if the controller does not answer.

        Since Kafka 2.8 every broker forwards requests that only the controller answers.
        """
        try:
            return await self._send(request, self._controller)
        except (NodeNotReadyError, RequestTimedOutError):
            return await self._send(request)

    async def _send(self, request: Any, node: int | None = None) -> Any:
        return await (self._client.send_to_any(request) if node is None else self._client.send(node, request))


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Admin]:
    """Yield a connected `Admin`, and turn errors of Kafka within the block into errors of Wordcount.

    Raises:
        BrokerUnavailableError: no broker answers within two time-outs of a request, or a request failed.
        ConfigurationError: the brokers refuse this process.
    """

    def client() -> BoundedClient:
        return BoundedClient(**connection(settings))

    async with connected(settings, client, start="bootstrap", stop="close") as connected_client:
        try:
            yield Admin(connected_client)
        except (KafkaError, TimeoutError) as error:
            raise _elsewhere(settings, connected_client) or unavailable(settings, repr(error)) from error


def _elsewhere(settings: Settings, client: BoundedClient) -> BrokerUnavailableError | None:
    """Return the error for brokers that answer at the bootstrap addresses, but not at the addresses that they advertise.

    None = there is another reason.
    """
    asked = settings.bootstrap_servers.split(",")
    elsewhere = {node: failure for node, failure in client.failures.items() if failure.address not in asked}
    if not elsewhere or len(client.failures) < len(client.cluster.brokers()):
        return None
    told = ", ".join(f"broker {node} at {failure}" for node, failure in sorted(elsewhere.items()))
    return BrokerUnavailableError(
        f'brokers answer at WORDCOUNT_BOOTSTRAP_SERVERS="{settings.bootstrap_servers}", but not at the addresses that they advertise: '
        f"{told}",
        "set advertised.listeners of the brokers to addresses that this machine can reach",
    )


def _said(error_code: int, message: str | None = None) -> str:
    return message or for_code(error_code).__name__
