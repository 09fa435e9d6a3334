"""Overrides of aiokafka's client: a broker that does not answer delays only the requests that need this broker.

The overrides and their reasons (`tests/unit/tables/kafka/test_client.py` and `tests/integration/kafka/test_hung_broker.py` fail if an
upgrade of aiokafka breaks an override):

* `send`: a request has a time-out even if its caller no longer waits. aiokafka notices a silent broker only if the caller waits longer
  than the client's own time-out, which has to outlast a rebalance. Here the connection is dropped and metadata is asked for again even
  if the caller was cancelled long before. While a request waits for other members of the group, further requests check that the
  broker still answers.
* `_get_conn`: each broker has its own lock, each attempt to connect has a time limit, and after a failed attempt there is a pause.
  aiokafka has one lock for all brokers: a broker that is silent while a connection to it is opened blocks connections to all brokers.
* `get_random_node`, `coordinator_lookup`, `_metadata_update`: brokers that answered lately are asked first; if a broker is silent, the
  next broker is asked. If no broker answers, the bootstrap servers are asked, as a new process does. No metadata request creates a
  topic.
* `bootstrap`: the bootstrap servers are asked side by side. aiokafka waits for one server after the other, in random order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aiokafka import client as original
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason, create_conn
from aiokafka.consumer import consumer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
    for_code,
)
from aiokafka.producer import producer
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from tables.kafka import broker_errors
from tables.kafka.failure import RETRY_S, Failure
from tables.kafka.first_answer import first_answer
from tables.kafka.refusals import Refusal

BROKER_SHARE = 0.8
"""Share of a request's time-out that a broker may use to wait for replicas: the broker answers before the request times out."""

REQUESTS_PER_STEP = 2
"""Time-outs of a request that a step may last: one for a broker that does not answer, one for the broker that is asked next."""

_BOOTSTRAP = "bootstrap"
_SAYS_WHY = 8
"""First version of a produce answer that explains in words why a batch was refused."""


class BoundedClient(AIOKafkaClient):
    """aiokafka's client with a time limit for each broker; the module's docstring lists the overrides."""

    _sync_task: asyncio.Task[None] | None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.answer_timeout_s = self._request_timeout_ms / 1000
        """Longest wait, in seconds, for a connection, and for an answer that depends on the broker alone."""
        self.failures: dict[Any, Failure] = {}
        """The latest failure of each broker, by node id; removed when the broker is reached again."""
        self.refusals: dict[tuple[str, int], Refusal] = {}
        """The refusal of the latest write, by (topic, partition); removed when a write is accepted."""
        self.coordinator_error: str | None = None
        """Why the group that was asked for last has no coordinator; None = the group has a coordinator."""
        self._connecting: dict[Any, asyncio.Lock] = {}

    async def bootstrap(self) -> None:
        """Get metadata from the bootstrap servers, which are asked side by side.

        Raises:
            KafkaConnectionError: no server answers.
        """
        conn, metadata = await self._ask_servers(MetadataRequest([], False))
        self.cluster.update_metadata(metadata)
        if self.cluster._brokers:
            conn.close()
        else:
            self._conns[_BOOTSTRAP, ConnectionGroup.DEFAULT] = conn
        if self._sync_task is None:
            self._sync_task = asyncio.create_task(self._md_synchronizer())

    def get_random_node(self) -> Any:
        """Return the node id of a broker, if possible of a broker that answers; None = no broker is known."""
        return next(iter(self._nodes()), None)

    async def send_to_any(self, request: Any) -> Any:
        """Return the answer of any broker.

        Raises:
            KafkaError: no broker is known, or no broker answers; then the error of the first broker that failed.
        """
        if not (nodes := self._nodes()):
            raise KafkaConnectionError("no broker is known")
        return await first_answer([partial(self.send, node, request) for node in nodes])

    async def coordinator_lookup(self, coordinator_type: int, coordinator_key: str) -> Any:
        """Return the node id of the coordinator, which any broker may name.

        Raises:
            KafkaError: no broker answers, or the brokers have no coordinator.
        """
        answer = await self.send_to_any(FindCoordinatorRequest(coordinator_key, coordinator_type))
        error = for_code(answer.error_code)
        self.coordinator_error = error.__name__ if answer.error_code else None
        if answer.error_code:
            raise error()
        return answer.coordinator_id

    async def send(self, node_id: Any, request: Any, *, group: int = ConnectionGroup.DEFAULT) -> Any:
        """Send a request to a broker and return the answer; the time-out applies even if the caller is cancelled.

        Raises:
            NodeNotReadyError: the broker cannot be reached; the message names the address.
            RequestTimedOutError: no answer within `answer_timeout_s`.
        """
        conn = await self._get_conn(node_id, group=group)
        if conn is None:
            raise NodeNotReadyError(f"broker {node_id} cannot be reached ({self.failures.get(node_id, '')})")
        if isinstance(request, ProduceRequest):
            request._timeout = min(request._timeout, int(self.answer_timeout_s * BROKER_SHARE * 1000))
        answer = conn.send(request)
        try:
            if isinstance(request, JoinGroupRequest | SyncGroupRequest):
                result = await self._while_alive(node_id, answer)
            else:
                self._limit(conn)
                result = await answer
        except TimeoutError as error:
            _drop(conn)
            raise self._silent(node_id, conn) from error
        except KafkaConnectionError as error:
            if isinstance(error.__cause__, RequestTimedOutError):
                raise self._silent(node_id, conn) from error
            raise
        self.failures.pop(node_id, None)
        if isinstance(request, ProduceRequest):
            self._note_refusals(result)
        return result

    def _limit(self, conn: Any) -> None:
        """Drop the connection if its latest request is not answered within `answer_timeout_s`."""
        sent = conn._requests[-1]

        def drop_where_unanswered() -> None:
            if any(waiting is sent for waiting in conn._requests):
                _drop(conn)

        def answered(future: asyncio.Future[Any]) -> None:
            # The request of a cancelled caller is still unanswered: its timer has to stay.
            if not future.cancelled():
                timer.cancel()

        timer = self._loop.call_later(self.answer_timeout_s, drop_where_unanswered)
        sent[2].add_done_callback(answered)

    async def _while_alive(self, node_id: Any, answer: Awaitable[Any]) -> Any:
        """Return an answer that waits for other members of a group, as long as the broker answers other requests.

        Raises:
            TimeoutError: the broker does not answer another request either.
        """
        waiting = asyncio.ensure_future(answer)
        try:
            while not (await asyncio.wait([waiting], timeout=self.answer_timeout_s))[0]:
                try:
                    await self.send(node_id, ApiVersionRequest())
                except KafkaError as error:
                    raise TimeoutError from error
            return waiting.result()
        finally:
            waiting.cancel()

    async def _get_conn(
        self, node_id: Any, *, group: int = ConnectionGroup.DEFAULT, no_hint: bool = False
    ) -> Any:
        key = node_id, group
        began_at = self._loop.time()
        async with self._connecting.setdefault(key, asyncio.Lock()):
            broker = self.cluster.broker_metadata(node_id)
            if conn := self._conns.get(key):
                moved = broker is not None and (broker.host, broker.port) != (conn.host, conn.port)
                if conn.connected() and not moved:
                    return conn
                conn.close()
                self._conns.pop(key, None)
            address = f"{broker.host}:{broker.port}" if broker is not None else ""
            failure = self.failures.get(node_id)
            if failure is not None and failure.address == address:
                if failure.at > began_at:
                    return None  # Another caller tried and failed while this caller waited for the lock.
                await asyncio.sleep(failure.retry_at - self._loop.time())
            try:
                if broker is None:
                    raise StaleMetadata(f"Broker id {node_id} not in current metadata")
                conn = await self._connected(broker.host, broker.port, on_close=self._on_connection_closed)
            except (OSError, TimeoutError, KafkaError) as error:
                self._failed(node_id, address, error)
                original.log.error("Unable connect to node with id %s: %s", node_id, self.failures[node_id])
                self.force_metadata_update()
                return None
            except asyncio.CancelledError:
                # Mostly another broker answered first: from now on this broker is asked after the brokers that answer.
                self._failed(node_id, address, TimeoutError("no answer"))
                raise
            self.failures.pop(node_id, None)
            self._conns[key] = conn
            return conn

    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:
        request = MetadataRequest(list(topics) if topics else None, False)
        try:
            metadata = await self.send_to_any(request)
        except KafkaError as unreachable:
            original.log.warning("Unable to update metadata from any known broker: %s", unreachable)
            try:
                conn, metadata = await self._ask_servers(request)
            except KafkaConnectionError as error:
                original.log.error("%s", error)
                cluster_metadata.failed_update(None)
                await asyncio.sleep(RETRY_S[0])
                return False
            conn.close()
        if not metadata.brokers:
            return False
        cluster_metadata.update_metadata(metadata)
        if conn := self._conns.pop((_BOOTSTRAP, ConnectionGroup.DEFAULT), None):
            conn.close()
        return True

    def _nodes(self) -> Sequence[Any]:
        """Return node ids in random order, but brokers with fewer failed attempts first."""
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        if (_BOOTSTRAP, ConnectionGroup.DEFAULT) in self._conns:
            nodes.append(_BOOTSTRAP)
        random.shuffle(nodes)
        return sorted(nodes, key=lambda node: self.failures[node].times if node in self.failures else 0)

    async def _ask_servers(self, request: Any) -> tuple[Any, Any]:
        """Return (connection, answer) of the first bootstrap server that answers.

        Raises:
            KafkaConnectionError: no server answers.
        """

        async def ask(host: str, port: int) -> tuple[Any, Any]:
            try:
                conn = await self._connected(host, port)
            except (OSError, TimeoutError, KafkaError) as error:
                original.log.error('Unable connect to "%s:%s": %s', host, port, error or "no answer in time")
                raise
            try:
                return conn, await conn.send(request)
            except BaseException as error:
                conn.close()
                if isinstance(error, KafkaError | TimeoutError):
                    original.log.warning(
                        'Unable to request metadata from "%s:%s": %s',
                        host,
                        port,
                        error or "no answer in time",
                    )
                raise

        try:
            return await first_answer([partial(ask, host, port) for host, port, _ in self.hosts])
        except (OSError, TimeoutError, KafkaError) as error:
            raise KafkaConnectionError(
                f"no bootstrap server answers: {error or 'no answer in time'}"
            ) from error

    async def _connected(self, host: str, port: int, on_close: Callable[..., None] | None = None) -> Any:
        async with asyncio.timeout(self.answer_timeout_s):
            return await create_conn(
                host,
                port,
                client_id=self._client_id,
                request_timeout_ms=self._request_timeout_ms,
                ssl_context=self._ssl_context,
                security_protocol=self._security_protocol,
                on_close=on_close,
                max_idle_ms=self._connections_max_idle_ms,
                sasl_mechanism=self._sasl_mechanism,
                sasl_plain_username=self._sasl_plain_username,
                sasl_plain_password=self._sasl_plain_password,
                sasl_kerberos_service_name=self._sasl_kerberos_service_name,
                sasl_kerberos_domain_name=self._sasl_kerberos_domain_name,
                sasl_oauth_token_provider=self._sasl_oauth_token_provider,
            )

    def _failed(self, node_id: Any, address: str, error: BaseException) -> None:
        self.failures[node_id] = Failure.after(self.failures.get(node_id), address, error, self._loop.time())

    def _silent(self, node_id: Any, conn: Any) -> RequestTimedOutError:
        error = RequestTimedOutError(
            f"broker {node_id} at {conn.host}:{conn.port} did not answer within {self.answer_timeout_s:g} s"
        )
        self._failed(node_id, f"{conn.host}:{conn.port}", error)
        return error

    def _note_refusals(self, answer: Any) -> None:
        for topic, partitions in answer.topics:
            for partition, error_code, *more in partitions:
                if error_code:
                    said = more[-1] if answer.API_VERSION >= _SAYS_WHY else None
                    self.refusals[topic, partition] = Refusal(error_code, said, self._loop.time())
                else:
                    self.refusals.pop((topic, partition), None)


def install() -> None:
    """Make aiokafka use `BoundedClient` in new consumers and producers, and know all error codes. May be called again."""
    broker_errors.install()
    consumer.AIOKafkaClient = BoundedClient
    producer.AIOKafkaClient = BoundedClient


def _drop(conn: Any) -> None:
    """Close a connection without waiting until the broker has received the written bytes."""
    writer = conn._writer
    conn.close(reason=CloseReason.CONNECTION_TIMEOUT, exc=RequestTimedOutError())
    if writer is not None:
        writer.transport.abort()
