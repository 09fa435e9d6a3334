"""The retention of a topic: how far back times of lines may be, so that brokers do not delete the lines at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.kafka.admin import open_admin

if TYPE_CHECKING:
    from app.config.settings import Settings


async def oldest_kept_ms(settings: Settings) -> int:
    """Return the oldest time, in milliseconds since 1970, that the input topic keeps at present.

    The time is 0 if the topic deletes nothing for its age, or if this user may not read the configuration of the topic.

    Raises:
        WordcountError: no broker answers, or the brokers refuse this process.
    """
    async with open_admin(settings) as admin:
        policy = await admin.topic_config(settings.topic, "cleanup.policy")
        retention_ms = await admin.topic_config(settings.topic, "retention.ms")
    if policy is None or "delete" not in policy or retention_ms is None or int(retention_ms) < 0:
        return 0
    return max(0, int(time.time() * 1000) - int(retention_ms))
