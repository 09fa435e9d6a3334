"""A Kafka cluster of several brokers, each of which can be paused while its connections stay open."""

from __future__ import annotations

import base64
import os
import signal
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.local.embedded import EmbeddedBroker
from tests.integration.worker import free_port

HOST = "127.0.0.1"
HEAP_MB = 256
QUICK = {
    # A silent broker loses its leaderships after 3 s instead of 9 s, so that tests wait less.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


class Brokers:
    """A cluster of brokers, some or all of which are also controllers.

    Args:
        folder: holds the data of all brokers.
        count: number of brokers; their node ids are 1 to `count`.
        controllers: number of brokers that are also controllers, beginning with node 1; None = all of them.
        settings: settings of every broker; they replace those of this class.
    """

    def __init__(
        self,
        folder: Path,
        count: int = 3,
        *,
        controllers: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        numbers = range(1, count + 1)
        self.ports = {number: free_port() for number in numbers}
        quorum = {number: free_port() for number in list(numbers)[: controllers or count]}
        voters = ",".join(f"{number}@{HOST}:{port}" for number, port in quorum.items())
        cluster_id = _uuid()
        self.nodes: dict[int, EmbeddedBroker] = {}
        for number in numbers:
            data = folder / f"node-{number}"
            (data / "log").mkdir(parents=True)
            (data / "log" / "meta.properties").write_text(
                f"version=1\nnode.id={number}\ncluster.id={cluster_id}\ndirectory.id={_uuid()}\n"
            )
            listeners = f"PLAINTEXT://{HOST}:{self.ports[number]}"
            roles = "broker"
            if number in quorum:
                listeners += f",CONTROLLER://{HOST}:{quorum[number]}"
                roles = "broker,controller"
            self.nodes[number] = EmbeddedBroker(
                data,
                port=self.ports[number],
                heap_mb=HEAP_MB,
                settings={
                    "process.roles": roles,
                    "node.id": str(number),
                    "listeners": listeners,
                    "advertised.listeners": f"PLAINTEXT://{HOST}:{self.ports[number]}",
                    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                    "controller.quorum.voters": voters,
                    "default.replication.factor": str(count),
                    "min.insync.replicas": str(count // 2 + 1),
                    "offsets.topic.replication.factor": str(count),
                    **QUICK,
                    **(settings or {}),
                },
            )

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"{HOST}:{port}" for port in self.ports.values())

    def start(self) -> Self:
        """Start all brokers at the same time, because none is ready before a majority of the controllers runs."""
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            for started in [threads.submit(node.start) for node in self.nodes.values()]:
                started.result()
        return self

    def pause(self, number: int) -> None:
        """Pause a broker with SIGSTOP: it answers no more, and its connections stay open."""
        os.kill(self.nodes[number].pid, signal.SIGSTOP)

    def resume(self, number: int) -> None:
        os.kill(self.nodes[number].pid, signal.SIGCONT)

    async def are_in_sync(self) -> bool:
        """Return whether each partition of each topic has all of its replicas in sync."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        try:
            await admin.start()
            topics = await admin.describe_topics()
        except (KafkaError, TimeoutError):
            return False
        finally:
            await admin.close()
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        return bool(partitions) and all(len(one["isr"]) == len(one["replicas"]) for one in partitions)

    def close(self) -> None:
        for node in self.nodes.values():
            node.kill()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _uuid() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
