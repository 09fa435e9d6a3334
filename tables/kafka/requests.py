"""Kafka requests that aiokafka does not have, or has only in versions whose answers lack rights or topic ids.

aiokafka's Metadata requests end at version 5: rights came with version 8 (KIP-430, Kafka 2.3), ids of topics with version 10 (KIP-516,
Kafka 2.8). aiokafka's DescribeGroups request of version 3, which asks for rights, reads the answer as version 2. aiokafka has no
request of the group protocol of KIP-848. This module defines only the form of requests and answers; callers interpret the answers.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final, TypeAlias

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.admin import DescribeGroupsRequest_v2, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

TEXT: Final = CompactString("utf-8")
TAGS: Final = ("tags", TaggedFields)
_UUID_BYTES: Final = 16
_NO_UUID: Final = bytes(_UUID_BYTES)


class TopicId(AbstractType[str]):
    """Protocol type of a topic's id, in the text form of Kafka's own tools; "" = no id."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        """Encode "", the only allowed value: requests name topics and give no ids."""
        assert not value
        return _NO_UUID

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        """Decode the next id of an answer."""
        raw = data.read(_UUID_BYTES)
        return "" if raw == _NO_UUID else urlsafe_b64encode(raw).decode().rstrip("=")


def _metadata_answer(
    array: type[Array], text: String, topic_id: Iterable[Any], tags: Iterable[Any]
) -> Schema:
    """Return the form of a Metadata answer of versions 8 to 10, which differ in the arguments of this function.

    Args:
        array: how arrays are encoded.
        text: how texts are encoded.
        topic_id: the field of the topic's id; empty before version 10.
        tags: the field of tagged fields; empty before version 10.
    """
    return Schema(
        ("throttle_time_ms", Int32),
        ("brokers", array(("node_id", Int32), ("host", text), ("port", Int32), ("rack", text), *tags)),
        ("cluster_id", text),
        ("controller_id", Int32),
        (
            "topics",
            array(
                ("error_code", Int16),
                ("topic", text),
                *topic_id,
                ("is_internal", Boolean),
                (
                    "partitions",
                    array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", array(Int32)),
                        ("isr", array(Int32)),
                        ("offline_replicas", array(Int32)),
                        *tags,
                    ),
                ),
                ("topic_authorized_operations", Int32),
                *tags,
            ),
        ),
        ("cluster_authorized_operations", Int32),
        *tags,
    )


class _MetadataResponse8(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = _metadata_answer(Array, String("utf-8"), (), ())


class _MetadataRequest8(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse8
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataResponse10(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = _metadata_answer(CompactArray, TEXT, [("topic_id", TopicId)], [TAGS])


class _MetadataRequest10(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse10
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", TopicId), ("topic", TEXT), TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        TAGS,
    )


_MetadataVersions: TypeAlias = MetadataRequest_v5 | _MetadataRequest8 | _MetadataRequest10


class DescribeTopics(Request[_MetadataVersions]):
    """Asks for descriptions of topics and for the rights on the topics, without creating any topic.

    Args:
        topics: names of the topics.
        cluster_rights: whether to ask for the rights on the cluster, too.
    """

    API_KEY = 3
    RIGHTS_VERSION = _MetadataRequest8.API_VERSION
    IDS_VERSION = _MetadataRequest10.API_VERSION

    def __init__(self, topics: Iterable[str], *, cluster_rights: bool = False) -> None:
        self._topics = list(topics)
        self._cluster_rights = cluster_rights

    def build(self, request_struct_class: type[_MetadataVersions]) -> _MetadataVersions:
        """Return the request in a version that the broker knows."""
        if request_struct_class.API_VERSION < self.RIGHTS_VERSION:
            return request_struct_class(self._topics, False)
        if request_struct_class.API_VERSION < self.IDS_VERSION:
            return request_struct_class(self._topics, False, self._cluster_rights, True)
        topics: list[tuple[str, str, dict[int, bytes]]] = [("", topic, {}) for topic in self._topics]
        return request_struct_class(topics, False, self._cluster_rights, True, {})


class _GroupRequest3(RequestStruct):
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


_GroupVersions: TypeAlias = DescribeGroupsRequest_v2 | _GroupRequest3


class DescribeGroup(Request[_GroupVersions]):
    """Asks for a consumer group, and from brokers of Kafka 2.3 or newer also for the rights on the group."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupVersions]) -> _GroupVersions:
        """Return the request in a version that the broker knows."""
        if request_struct_class.API_VERSION < _GroupRequest3.API_VERSION:
            return request_struct_class([self._group])
        return request_struct_class([self._group], True)


_ASSIGNMENT: Final = Schema(
    (
        "topic_partitions",
        CompactArray(("topic_id", TopicId), ("topic", TEXT), ("partitions", CompactArray(Int32)), TAGS),
    ),
    TAGS,
)


class _NewProtocolGroupResponse(Response):
    API_KEY = 69
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            CompactArray(
                ("error_code", Int16),
                ("error_message", TEXT),
                ("group", TEXT),
                ("state", TEXT),
                ("group_epoch", Int32),
                ("assignment_epoch", Int32),
                ("assignor", TEXT),
                (
                    "members",
                    CompactArray(
                        ("member_id", TEXT),
                        ("instance_id", TEXT),
                        ("rack_id", TEXT),
                        ("member_epoch", Int32),
                        ("client_id", TEXT),
                        ("client_host", TEXT),
                        ("subscribed_topic_names", CompactArray(TEXT)),
                        ("subscribed_topic_regex", TEXT),
                        ("assignment", _ASSIGNMENT),
                        ("target_assignment", _ASSIGNMENT),
                        ("member_type", Int8),
                        TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                TAGS,
            ),
        ),
        TAGS,
    )


class _NewProtocolGroupRequest(RequestStruct):
    API_KEY = 69
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _NewProtocolGroupResponse
    SCHEMA = Schema(("groups", CompactArray(TEXT)), ("include_authorized_operations", Boolean), TAGS)


class DescribeNewProtocolGroup(Request[_NewProtocolGroupRequest]):
    """Asks a coordinator of Kafka 4.0 or newer for the members of a group that has members of the new protocol (KIP-848)."""

    API_KEY = 69

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_NewProtocolGroupRequest]) -> _NewProtocolGroupRequest:
        """Return the request in its only version."""
        return request_struct_class([self._group], False, {})
