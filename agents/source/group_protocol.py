"""Strangers in the consumer group: members that speak the new group protocol (KIP-848), which no worker speaks.

Since Kafka 4, members of the new protocol and members of the classic protocol may share a group. The broker then assigns partitions to
all members, and the name of a worker's assignor no longer keeps strangers out of the group.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiokafka.errors import IncompatibleBrokerVersion

from tables.kafka.requests import DescribeNewProtocolGroup

_CLASSIC: Final = 0


async def strangers(send: Callable[[DescribeNewProtocolGroup], Awaitable[Any]], group: str) -> Sequence[str]:
    """Return `client id at host` of each member of `group` that speaks the new protocol.

    Empty if the group has no such member, or if the broker does not know the new protocol.

    Args:
        send: sends a request to the coordinator of the group.

    Raises:
        KafkaError: the coordinator did not answer.
    """
    try:
        answer = await send(DescribeNewProtocolGroup(group))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return []
    error_code, *_, members, _, _ = answer.groups[0]
    if error_code:
        return []  # The group has members of the classic protocol only, or does not exist.
    return [
        f"{client_id} at {host.removeprefix('/')}"
        for _, _, _, _, client_id, host, *_, member_type, _ in members
        if member_type != _CLASSIC
    ]
