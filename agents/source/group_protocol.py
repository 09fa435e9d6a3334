"""Members of a group that speak the group protocol of KIP-848, where the broker assigns partitions: workers do not.

Since Kafka 4 such members and those of the classic protocol may share a group. The broker then assigns partitions to all of them, and
no assignor's name keeps strangers out. aiokafka knows none of its requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_TEXT: Final = CompactString("utf-8")
_TAGS: Final = ("tags", TaggedFields)
_UUID: Final = Schema(("high", Int64), ("low", Int64))
_ASSIGNMENT: Final = Schema(
    (
        "topic_partitions",
        CompactArray(("topic_id", _UUID), ("topic", _TEXT), ("partitions", CompactArray(Int32)), _TAGS),
    ),
    _TAGS,
)
_CLASSIC: Final = 0


class _DescribeResponse(Response):
    API_KEY = 69
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            CompactArray(
                ("error_code", Int16),
                ("error_message", _TEXT),
                ("group", _TEXT),
                ("state", _TEXT),
                ("group_epoch", Int32),
                ("assignment_epoch", Int32),
                ("assignor", _TEXT),
                (
                    "members",
                    CompactArray(
                        ("member_id", _TEXT),
                        ("instance_id", _TEXT),
                        ("rack_id", _TEXT),
                        ("member_epoch", Int32),
                        ("client_id", _TEXT),
                        ("client_host", _TEXT),
                        ("subscribed_topic_names", CompactArray(_TEXT)),
                        ("subscribed_topic_regex", _TEXT),
                        ("assignment", _ASSIGNMENT),
                        ("target_assignment", _ASSIGNMENT),
                        ("member_type", Int8),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _DescribeRequest(RequestStruct):
    API_KEY = 69
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _DescribeResponse
    SCHEMA = Schema(("groups", CompactArray(_TEXT)), ("include_authorized_operations", Boolean), _TAGS)


class DescribeNewProtocolGroup(Request[_DescribeRequest]):
    """Asks a coordinator of Kafka 4.0 or newer for the members of a group that has some of the new protocol."""

    API_KEY = 69

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_DescribeRequest]) -> _DescribeRequest:
        return request_struct_class([self._group], False, {})


async def strangers(send: Callable[[DescribeNewProtocolGroup], Awaitable[Any]], group: str) -> Sequence[str]:
    """`client id at host` of each member of `group` that speaks the new protocol; none where the broker does not know it.

    Args:
        send: sends a request to the coordinator of the group.

    Raises:
        KafkaError: no answer.
    """
    try:
        answer = await send(DescribeNewProtocolGroup(group))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return []
    error_code, *_, members, _, _ = answer.groups[0]
    if error_code:
        return []  # A classic group, or none.
    return [
        f"{client_id} at {host.removeprefix('/')}"
        for _, _, _, _, client_id, host, *_, member_type, _ in members
        if member_type != _CLASSIC
    ]
