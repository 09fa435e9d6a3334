"""Requests that tell what a user may do (KIP-430, Kafka 2.3), which aiokafka 0.14 does not have.

Its metadata requests end at version 5, and its DescribeGroups of version 3 reads the answer as version 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from aiokafka.protocol.admin import DescribeGroupsRequest_v2, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

_BROKER = (("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))
_PARTITION = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", Array(Int32)),
    ("isr", Array(Int32)),
    ("offline_replicas", Array(Int32)),
)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(*_BROKER)),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                ("partitions", Array(*_PARTITION)),
                ("topic_authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequest(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _GroupRequest(RequestStruct):
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


_MetadataVersions: TypeAlias = MetadataRequest_v5 | _MetadataRequest
_GroupVersions: TypeAlias = DescribeGroupsRequest_v2 | _GroupRequest


class MetadataWithRights(Request[_MetadataVersions]):
    """Describes topics without creating them, and the rights on them where the broker is of Kafka 2.3 or newer."""

    API_KEY = 3
    RIGHTS_VERSION = 8

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataVersions]) -> _MetadataVersions:
        if request_struct_class.API_VERSION < self.RIGHTS_VERSION:
            return request_struct_class(self._topics, False)
        return request_struct_class(self._topics, False, True, True)


class GroupWithRights(Request[_GroupVersions]):
    """Describes a consumer group, and the rights on it where the broker is of Kafka 2.3 or newer."""

    API_KEY = 15
    RIGHTS_VERSION = 3

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupVersions]) -> _GroupVersions:
        if request_struct_class.API_VERSION < self.RIGHTS_VERSION:
            return request_struct_class([self._group])
        return request_struct_class([self._group], True)
