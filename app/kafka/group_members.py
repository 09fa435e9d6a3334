"""The members of the group as its coordinator knows them, with the card that each worker has put into its metadata."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from agents.source.group_map import Card, decode_card
from app.kafka.admin import open_admin
from app.kafka.clients import rights_of
from tables.kafka.rights import Right

if TYPE_CHECKING:
    from app.config.settings import Settings
    from app.kafka.admin import Admin

SETTLE_S: Final = 5.0
"""Longest wait for a coordinator that is loading the group, and for the end of a rebalance, during which a coordinator does not show
what members tell of themselves."""

_POLL_S: Final = 0.1
_REBALANCING: Final = frozenset({"PreparingRebalance", "CompletingRebalance"})


class GroupMember(NamedTuple):
    """A member of the group.

    Attributes:
        client: `client id at host`.
        card: what the worker tells of itself; None = nothing: the group rebalances, or the member is of a former version or no worker.
    """

    client: str
    card: Card | None


async def find_members(settings: Settings) -> Sequence[GroupMember]:
    """Ask the brokers for the members of the group of these settings; empty if the group does not exist.

    Raises:
        BrokerUnavailableError: no broker answers, or the group has no coordinator.
        ConfigurationError: the brokers refuse this process, or this user may not describe the group.
    """
    async with open_admin(settings) as admin:
        try:
            return await group_members(admin, settings.group)
        except GroupAuthorizationFailedError as error:
            raise rights_of(settings).error(Right("Describe", "group", settings.group)) from error


async def group_members(admin: Admin, group: str) -> Sequence[GroupMember]:
    """Return the members of `group`, as soon as its coordinator shows what they tell, or else after `SETTLE_S` seconds.

    Raises:
        KafkaError: the coordinator did not answer, or refuses the question.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + SETTLE_S
    while True:
        try:
            state, members = await admin.described_group(group)
        except KafkaError as error:
            if not error.retriable or clock() > deadline:
                raise
        else:
            if state not in _REBALANCING or clock() > deadline:
                return [_member(member) for member in members]
        await asyncio.sleep(_POLL_S)


def _member(described: Sequence[Any]) -> GroupMember:
    _, client_id, host, metadata, *_ = described
    return GroupMember(f"{client_id} at {host.removeprefix('/')}", _card(metadata))


def _card(metadata: bytes) -> Card | None:
    try:
        return decode_card(ConsumerProtocolMemberMetadata.decode(metadata).user_data or b"")
    except ValueError:
        return None  # The bytes are empty, or are those of another protocol than the consumers'.
