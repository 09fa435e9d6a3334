"""The coordinator of the consumer group: waits for it, and explains why the brokers have none.

Brokers create their topic of offsets, which coordinators need, at the first request for a coordinator. Brokers that are too few cannot
create this topic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.kafka.admin import Admin, open_admin
from tables.errors import BrokerUnavailableError
from tables.kafka.broker_errors import NO_COORDINATOR, NO_ERROR, UNKNOWN_TOPIC

if TYPE_CHECKING:
    from app.config.settings import Settings

OFFSETS_TOPIC: Final = "__consumer_offsets"
WAIT_S: Final = 30.0
"""Longest wait, in seconds, for a new cluster to create the topic of offsets."""


async def ensure_coordinator(settings: Settings) -> None:
    """Wait until the brokers have a coordinator for the group.

    Any other refusal, such as a missing right, is ignored: joining the group reports the refusal.

    Raises:
        BrokerUnavailableError: no broker answers, or the group has no coordinator after `WAIT_S`; the message says why.
    """
    async with open_admin(settings) as admin:
        if await admin.coordinator_error(settings.group, WAIT_S) == NO_COORDINATOR:
            raise await no_coordinator(admin, settings.group)


async def no_coordinator(admin: Admin, group: str) -> BrokerUnavailableError:
    """Return the error that says why the group has no coordinator. Raise KafkaError if no broker answers."""
    offsets = (await admin.describe(OFFSETS_TOPIC))[OFFSETS_TOPIC]
    what = f"the brokers have no coordinator for group {group}"
    if offsets.error_code == UNKNOWN_TOPIC:
        return BrokerUnavailableError(
            f"{what}: the brokers do not create their topic {OFFSETS_TOPIC}; the number of brokers is {len(admin.brokers)}",
            "start as many brokers as offsets.topic.replication.factor of the brokers says, or lower that number",
        )
    if offsets.error_code == NO_ERROR and offsets.leaderless:
        return BrokerUnavailableError(
            f"{what}: {len(offsets.leaderless)} of {offsets.partitions} partitions of {OFFSETS_TOPIC} have no leader",
            "start the brokers that have the replicas of these partitions",
        )
    return BrokerUnavailableError(what, "look at the brokers' log")
