"""The coordinator of the consumer group: brokers make their topic of offsets when they are asked for one, and some cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.kafka.admin import Admin, open_admin
from tables.errors import BrokerUnavailableError
from tables.kafka.broker_errors import NO_COORDINATOR, NO_ERROR, UNKNOWN_TOPIC

if TYPE_CHECKING:
    from app.config.settings import Settings

OFFSETS_TOPIC: Final = "__consumer_offsets"
WAIT_S: Final = 30.0
"""Longest wait for a new cluster to make the topic."""


async def ensure_coordinator(settings: Settings) -> None:
    """Wait until the brokers have a coordinator for the group, or refuse to tell: joining says why.

    Raises:
        BrokerUnavailableError: no broker answers, or they have none after `WAIT_S`; says why.
    """
    async with open_admin(settings) as admin:
        if await admin.coordinator_error(settings.group, WAIT_S) == NO_COORDINATOR:
            raise await no_coordinator(admin, settings.group)


async def no_coordinator(admin: Admin, group: str) -> BrokerUnavailableError:
    """Why there is none. Raises KafkaError: no broker answers."""
    offsets = (await admin.describe(OFFSETS_TOPIC))[OFFSETS_TOPIC]
    what = f"the brokers have no coordinator for group {group}"
    if offsets.error_code == UNKNOWN_TOPIC:
        return BrokerUnavailableError(
            f"{what}: they do not make their topic {OFFSETS_TOPIC}, and there are {len(admin.brokers)} of them",
            "start as many brokers as their offsets.topic.replication.factor says, or lower that",
        )
    if offsets.error_code == NO_ERROR and offsets.leaderless:
        return BrokerUnavailableError(
            f"{what}: {len(offsets.leaderless)} of {offsets.partitions} partitions of {OFFSETS_TOPIC} have no leader",
            "start the brokers that hold their replicas",
        )
    return BrokerUnavailableError(what, "look at the brokers' log")
