"""The start files of the embedded broker: settings and identity of the Kafka node, and the flags of its JVM."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
PROPERTIES_NAME: Final = "server.properties"
# The name is relative to the working folder of the JVM, so that the path of the data folder may hold any character.
LOG_DIR_NAME: Final = "log"

_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "log.dirs": LOG_DIR_NAME,
    "num.partitions": "1",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # The default of 128 MiB would be a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.initial.task.delay.ms": "500",
    # A killed node can register again only when its former registration has expired: after 9 s by default.
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
}

JVM_FLAGS: Final = (
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    # Otherwise the JVM leaves a file per run in the system's folder for temporary files.
    "-XX:-UsePerfData",
    # The next three flags silence warnings about the jars of Kafka.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dlog4j2.StatusLogger.level=OFF",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.QuorumController=error",
    # At this level Kafka logs the line that says that the server has started.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)


def write_properties(data_dir: Path, port: int, controller_port: int, settings: Mapping[str, str]) -> None:
    """Write the settings of the node; `settings` override the settings of this module."""
    properties = {
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        **_SETTINGS,
        **settings,
    }
    text = "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())
    (data_dir / PROPERTIES_NAME).write_text(text, "ascii")


def former_port(data_dir: Path) -> int | None:
    """Return the port for clients at the latest start on this folder; None if there was no start."""
    try:
        text = (data_dir / PROPERTIES_NAME).read_text("ascii")
    except FileNotFoundError:
        return None
    match = re.search(r"^listeners=PLAINTEXT://[^:]+:(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else None


def write_identity(data_dir: Path) -> None:
    """Write the ids of cluster and log folder at the first start; later starts keep them. Kafka's format command does no more."""
    path = data_dir / LOG_DIR_NAME / "meta.properties"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = data_dir / "meta.properties.draft"
    draft.write_text(
        f"version=1\nnode.id=1\ncluster.id={_kafka_uuid()}\ndirectory.id={_kafka_uuid()}\n", "ascii"
    )
    draft.replace(path)


def _kafka_uuid() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _escaped(value: str) -> str:
    """Return `value` as a Java properties file holds it: characters outside of visible ASCII as escapes of UTF-16 units."""
    encoded = value.encode("utf-16-be")
    units = [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]
    return "".join(
        chr(unit) if 0x20 < unit < 0x7F and unit != ord("\\") else f"\\u{unit:04x}" for unit in units
    )
