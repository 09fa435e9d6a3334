"""Members of a group that speak the group protocol of KIP-848, where the broker assigns partitions: workers do not.

Since Kafka 4 such members and those of the classic protocol may share a group. The broker then assigns partitions to all of them, and
no assignor's name keeps strangers out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiokafka.errors import IncompatibleBrokerVersion

from tables.kafka.requests import DescribeNewProtocolGroup

_CLASSIC: Final = 0


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
