"""All overrides of aiokafka's client: no broker that is silent, hung or gone holds up more than the requests that need it.

What is overridden and why (`tests/unit/tables/kafka/test_client.py` and `tests/integration/kafka/test_hung_broker.py` would notice an
upgrade of aiokafka):

* `send`: a request has its time-out, whoever waits for it. aiokafka notices a silent broker only where the caller waits longer than
  the client's own time-out, which has to outlast a rebalance. Here the connection is dropped and metadata is asked for again even if
  the caller was cancelled long before. While a request waits for other members of the group, the broker is asked whether it lives.
* `_get_conn`: each broker has a lock of its own, a connection has a time limit, and a broker that refused is not asked at once
  again. aiokafka has one lock: a broker that is silent while it is connected to holds up connections to all.
* `get_random_node`, `coordinator_lookup`, `_metadata_update`: brokers that answer are asked first, and the next one where one is
  silent. Where none answers, the bootstrap servers are asked, as a new process would. No metadata request creates a topic.
* `bootstrap`: the servers are tried side by side. aiokafka waits for each in turn, in an order drawn by chance.
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
"""Share of a request's time-out that a broker may use to wait for its replicas: it answers before it is given up."""

REQUESTS_PER_STEP = 2
"""A broker that does not answer may cost one time-out of a request; the next one that is asked has as long again."""

_BOOTSTRAP = "bootstrap"
_SAYS_WHY = 8
"""Version of a produce answer from which on it says in words why a batch was refused."""


class BoundedClient(AIOKafkaClient):
    """See the module."""

    _sync_task: asyncio.Task[None] | None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.answer_timeout_s = self._request_timeout_ms / 1000
        """Longest wait for an answer that depends on the broker alone, and for a connection."""
        self.failures: dict[Any, Failure] = {}
        """By node id; a broker that is connected to again is left out."""
        self.refusals: dict[tuple[str, int], Refusal] = {}
        """Of the latest write to (topic, partition); one that is accepted is left out."""
        self.coordinator_error: str | None = None
        """Why there is no coordinator for the latest group that was asked for; None = there is one."""
        self._connecting: dict[Any, asyncio.Lock] = {}

    async def bootstrap(self) -> None:
        """aiokafka's, with all servers side by side. Raises KafkaConnectionError."""
        conn, metadata = await self._ask_servers(MetadataRequest([], False))
        self.cluster.update_metadata(metadata)
        if self.cluster._brokers:
            conn.close()
        else:
            self._conns[_BOOTSTRAP, ConnectionGroup.DEFAULT] = conn
        if self._sync_task is None:
            self._sync_task = asyncio.create_task(self._md_synchronizer())

    def get_random_node(self) -> Any:
        """A broker that answers, where one is known."""
        return next(iter(self._nodes()), None)

    async def send_to_any(self, request: Any) -> Any:
        """The answer of any broker. Raises KafkaError: what the first one did, where none answers."""
        if not (nodes := self._nodes()):
            raise KafkaConnectionError("no broker is known")
        return await first_answer([partial(self.send, node, request) for node in nodes])

    async def coordinator_lookup(self, coordinator_type: int, coordinator_key: str) -> Any:
        """aiokafka's, of any broker."""
        answer = await self.send_to_any(FindCoordinatorRequest(coordinator_key, coordinator_type))
        error = for_code(answer.error_code)
        self.coordinator_error = error.__name__ if answer.error_code else None
        if answer.error_code:
            raise error()
        return answer.coordinator_id

    async def send(self, node_id: Any, request: Any, *, group: int = ConnectionGroup.DEFAULT) -> Any:
        """aiokafka's; the time-out counts even if the caller does not wait for it.

        Raises:
            NodeNotReadyError: there is no connection; says to which address.
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
        """Drop the connection if its latest request is not answered in time."""
        sent = conn._requests[-1]

        def drop_where_unanswered() -> None:
            if any(waiting is sent for waiting in conn._requests):
                _drop(conn)

        def answered(future: asyncio.Future[Any]) -> None:
            # A caller that is cancelled leaves its request behind; the timer stays for it.
            if not future.cancelled():
                timer.cancel()

        timer = self._loop.call_later(self.answer_timeout_s, drop_where_unanswered)
        sent[2].add_done_callback(answered)

    async def _while_alive(self, node_id: Any, answer: Awaitable[Any]) -> Any:
        """An answer that waits for other members of a group. Raises TimeoutError where the broker does not answer anything."""
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
                    return None  # Just tried, while this caller waited for its turn.
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
                # Another broker was faster: this one is asked last from now on.
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
        """Brokers, those that answer first."""
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        if (_BOOTSTRAP, ConnectionGroup.DEFAULT) in self._conns:
            nodes.append(_BOOTSTRAP)
        random.shuffle(nodes)
        return sorted(nodes, key=lambda node: self.failures[node].times if node in self.failures else 0)

    async def _ask_servers(self, request: Any) -> tuple[Any, Any]:
        """(connection, answer) of the first bootstrap server that answers. Raises KafkaConnectionError."""

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
    """Make consumers and producers use `BoundedClient`, and know all errors, from now on. May be called again."""
    broker_errors.install()
    consumer.AIOKafkaClient = BoundedClient
    producer.AIOKafkaClient = BoundedClient


def _drop(conn: Any) -> None:
    """Close without waiting until the other side has taken what was written to it."""
    writer = conn._writer
    conn.close(reason=CloseReason.CONNECTION_TIMEOUT, exc=RequestTimedOutError())
    if writer is not None:
        writer.transport.abort()
