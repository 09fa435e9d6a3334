"""What a broker says about a topic, its id above all: a topic that is deleted and created again under its name gets another one.

aiokafka's metadata requests end at version 5; ids came with version 10 (KIP-516, Kafka 2.8). A broker that is older, or has no
ids, gives "": then only offsets can tell that a topic was replaced.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from tables.kafka.rights import operations

UNKNOWN_TOPIC = 3
TOPIC_UNAUTHORIZED = 29
_UUID_BYTES = 16
_NO_UUID = bytes(_UUID_BYTES)
_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic as a broker describes it now.

    Attributes:
        topic_id: as Kafka's own tools write it; "" = the broker does not tell.
        partitions: how many; 0 = there is no such topic.
        rights: operations on it that this user may do; None where the broker does not tell.
    """

    topic_id: str
    partitions: int
    rights: frozenset[str] | None = None


class _TopicId(AbstractType[str]):
    @classmethod
    def encode(cls, value: str) -> bytes:
        """Nothing but "no id": topics are asked for by name."""
        assert not value
        return _NO_UUID

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        raw = data.read(_UUID_BYTES)
        return "" if raw == _NO_UUID else urlsafe_b64encode(raw).decode().rstrip("=")


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("topic_id", _TopicId),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("topic_authorized_operations", Int32),
                _TAGS,
            ),
        ),
        ("cluster_authorized_operations", Int32),
        _TAGS,
    )


class _MetadataRequest(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _TopicId), ("topic", _TEXT), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


_Versions: TypeAlias = MetadataRequest_v5 | _MetadataRequest


class DescribeTopic(Request[_Versions]):
    """Asks for one topic without creating it."""

    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_Versions]) -> _Versions:
        if request_struct_class.API_VERSION < _MetadataRequest.API_VERSION:
            return request_struct_class([self._topic], False)
        return request_struct_class([("", self._topic, {})], False, False, True, {})

    @staticmethod
    def described(answer: Any) -> tuple[int, TopicDescription]:
        """(error code, description) from the answer; the code of a missing topic is `UNKNOWN_TOPIC`."""
        topic = answer.topics[0]
        if answer.API_VERSION < _MetadataRequest.API_VERSION:
            return topic[0], TopicDescription("", len(topic[3]))
        return topic[0], TopicDescription(topic[2], len(topic[4]), operations(topic[5]))
