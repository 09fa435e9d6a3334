"""Why brokers refuse a member of a consumer group for good, rights aside."""

from __future__ import annotations

from aiokafka.errors import InvalidSessionTimeoutError

from tables.errors import ConfigurationError
from tables.kafka.broker_errors import GroupMaxSizeReachedError


def refused_join(error: BaseException, group: str) -> ConfigurationError | None:
    """What to tell the operator; None where it is something else. aiokafka raises what it did not expect with its text alone."""
    if isinstance(error, InvalidSessionTimeoutError):
        return ConfigurationError(
            f"the brokers do not let a member of group {group} have this WORDCOUNT_SESSION_TIMEOUT_MS",
            "set it between their group.min.session.timeout.ms (6 s by default) and group.max.session.timeout.ms (30 min)",
        )
    if GroupMaxSizeReachedError.__name__ in repr(error):
        return ConfigurationError(
            f"group {group} has as many members as the brokers allow",
            "start fewer workers, or raise group.max.size of the brokers",
        )
    return None
